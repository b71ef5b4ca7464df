#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "attest/endpoint/attester.hpp"
#include "config/pipeline_config.hpp"
#include "core/digest.hpp"
#include "transport/link_gate.hpp"

namespace talaria::cli {

/// What the server's evidence says about it: `serve.attestation` and the rest of the settings.
/// Null without that section. Prints the warning that belongs to a simulated platform.
/// @param model_name  what clients call the model
/// @param model_root  of its files
/// @param receipt_key  that receipts are signed with; nothing: it signs none
/// @param adapters  that requests may name
/// @throws Error{io, config} for a platform that cannot be used.
std::shared_ptr<attest::Attester>
make_attester(const config::PipelineConfig& settings, const std::string& model_name,
              const Sha256Digest& model_root,
              const std::optional<std::array<u8, 32>>& receipt_key = std::nullopt,
              const std::vector<attest::AdapterClaim>& adapters = {});

/// The same evidence for workers that demand it (pipeline::ClusterOptions::evidence); empty without
/// that section.
std::function<transport::GiveEvidence(const Sha256Digest& model_root)>
link_evidence(const config::PipelineConfig& settings);

/// The key that the platform of that section derives for this program
/// (pipeline::HintCacheOptions); empty without that section.
std::function<std::optional<SealKey>()> chip_key(const config::PipelineConfig& settings);

/// Evidence over links by an attester that is there already.
transport::GiveEvidence link_evidence(std::shared_ptr<attest::Attester> attester);

} // namespace talaria::cli
