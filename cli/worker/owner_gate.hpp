#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

#include "attest/collateral/seen_collateral.hpp"
#include "attest/fetch/background_fetcher.hpp"
#include "attest/policy/verdict.hpp"
#include "transport/link_gate.hpp"

namespace talaria::cli {

/// The owner of the weights: one policy, read once, that every enclave has to pass, and collateral
/// that is not older than was seen before. Thread-safe.
class OwnerGate final : public transport::LinkGate {
public:
  /// @param seen  what collateral may not be older than; null: what this gate has seen itself
  /// @param now  empty: the system's clock
  /// @throws Error{config} for a root of a simulation that cannot be read.
  OwnerGate(attest::Policy policy, bool allow_simulated,
            std::unique_ptr<attest::SeenCollateral> seen = nullptr,
            std::function<attest::TimePoint()> now = nullptr);
  /// @param seen  a file of SeenCollateral; empty: none
  /// @throws Error{config, io} naming the file, line and field that cannot be used.
  static std::shared_ptr<OwnerGate> read(const std::filesystem::path& policy, bool allow_simulated,
                                         const std::filesystem::path& seen = {});

  const attest::Policy& policy() const noexcept { return policy_; }
  /// Enclaves that pass are given a key for their disk, made of this secret (read_seal_secret()),
  /// which is another for each image, configuration and model. Before the first judge().
  void give_keys_of(const SealKey& secret) { seal_secret_ = secret; }
  /// Collateral that evidence lacks is looked for in the fetcher's folder, and asked for if nothing
  /// else is wrong with the evidence. Before the first judge().
  void fetch_by(std::unique_ptr<attest::BackgroundFetcher> fetcher) {
    fetcher_ = std::move(fetcher);
  }
  transport::GateVerdict judge(std::string_view document, const transport::LinkBinding& own,
                               std::chrono::milliseconds patience) override;

private:
  /// A verdict, and why what it lacks could not be had.
  struct Judged {
    attest::Verdict verdict;
    std::string trouble;
  };
  Judged verdict_on(std::string_view document, const attest::BindingInput& own,
                    attest::TimePoint now, std::chrono::milliseconds patience) const;
  void look_ahead(const attest::EvidenceSet& set, const attest::Verdict& verdict,
                  attest::TimePoint now) const;
  bool is_pinned(const Sha256Digest& key) const;
  std::optional<attest::Refusal> refusal_after(const attest::Verdict& verdict,
                                               const Sha256Digest& key) const;

  const attest::Policy policy_;
  const attest::TrustAnchors anchors_;
  const bool allow_simulated_;
  const std::unique_ptr<attest::SeenCollateral> seen_;
  const std::function<attest::TimePoint()> now_;
  std::optional<SealKey> seal_secret_;
  std::unique_ptr<attest::BackgroundFetcher> fetcher_; ///< null: nobody is asked
};

/// 64 hexadecimal digits in a file that its owner alone can read: `openssl rand -hex 32`.
/// @throws Error{io} if it cannot be read, Error{config} if it is anything else.
SealKey read_seal_secret(const std::filesystem::path& file);

/// What the owner gives an enclave of this verdict. Nothing for what was not accepted, and behind
/// Azure's paravisor, whose measurement says nothing of the image.
std::optional<SealKey> seal_key_for(const attest::Verdict& verdict, const SealKey& secret);

} // namespace talaria::cli
