#pragma once

#include <memory>

#include "attest/endpoint/azure_source.hpp"
#include "attest/endpoint/guest_source.hpp"

namespace talaria::attest {

/// Evidence of the machine that this program runs on: of its kernel (GuestSource), or behind
/// Azure's paravisor (AzureSource). `automatic` takes the kernel's if it has any, and else a vTPM.
/// @throws Error{config} if the machine gives none of the kind.
std::unique_ptr<EvidenceSource> machine_source(GuestOptions options);

} // namespace talaria::attest
