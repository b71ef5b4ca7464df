#pragma once

#include <filesystem>
#include <string>

#include "attest/evidence/evidence_set.hpp"

namespace talaria::attest {

/// A policy that accepts exactly the machine of `judgement`, as it is: its image, its chip, its TCB
/// as the floor; with comments that say what may be loosened. The judgement must have no refusal
/// before Stage::collateral. `simulated_root`: of a simulation, the file of its roots.
std::string policy_for(const Judgement& judgement, EvidenceKind kind, const std::string& name,
                       const std::filesystem::path& simulated_root = {});

} // namespace talaria::attest
