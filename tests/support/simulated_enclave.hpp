#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "attest/endpoint/attester.hpp"
#include "attest/endpoint/simulated_source.hpp"
#include "attest/policy/policy.hpp"
#include "attest/simulated/platform_folder.hpp"
#include "core/error.hpp"
#include "tests/support/temporary_folder.hpp"
#include "transport/link_gate.hpp"

namespace talaria::tests {

/// A simulated platform, made once: its keys take seconds.
struct SimulatedMachine {
  TemporaryFolder folder;
  std::filesystem::path platform = folder.path() / "platform";
  SimulatedMachine() {
    const auto now = std::chrono::floor<attest::Seconds>(std::chrono::system_clock::now());
    attest::simulated::create_platform(platform, now - std::chrono::hours(1));
  }
};
inline const SimulatedMachine& simulated_machine() {
  static const SimulatedMachine made;
  return made;
}

/// What the policy below accepts.
inline constexpr u8 kGoodImage = 0x55;

inline std::array<u8, 48> image_bytes(u8 image) {
  std::array<u8, 48> bytes{};
  bytes.fill(image);
  return bytes;
}

inline std::shared_ptr<attest::Attester>
attester_of(u8 image = kGoodImage, attest::EvidenceKind kind = attest::EvidenceKind::snp) {
  attest::SimulatedGuest guest;
  guest.kind = kind;
  guest.measurement = image_bytes(image);
  attest::Statement about;
  about.service = "127.0.0.1";
  about.software = "test";
  about.model = "toy";
  about.weights = "int8";
  about.scheme = "lattice";
  about.parameters = "S48";
  about.integrity = "freivalds";
  about.padding = "none";
  return std::make_shared<attest::Attester>(
      std::make_shared<attest::SimulatedSource>(simulated_machine().platform, guest), about);
}

inline std::array<u8, 32> channel_of(const transport::LinkBinding& link) {
  return attest::channel_of_link(link.control, link.up, link.down);
}

/// Evidence as an honest enclave gives it.
inline transport::GiveEvidence honest_evidence(std::shared_ptr<attest::Attester> attester) {
  return [attester](const transport::LinkBinding& link) {
    return attester->for_link(link.nonce, channel_of(link), link.enclave_key).value();
  };
}

inline attest::Policy owner_policy() {
  attest::Policy policy;
  policy.name = "owner";
  policy.simulated = true;
  policy.simulated_root = simulated_machine().platform / "roots.pem";
  attest::Image accepted;
  accepted.name = "good image";
  accepted.snp.emplace().measurement = {image_bytes(kGoodImage)};
  accepted.tdx.emplace().mr_td = {image_bytes(kGoodImage)};
  policy.images = {accepted};
  return policy;
}

} // namespace talaria::tests
