#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "attest/binding/binding.hpp"
#include "attest/collateral/bundle.hpp"
#include "attest/collateral/seen_collateral.hpp"
#include "attest/policy/verdict.hpp"
#include "transport/client_tls.hpp"

namespace talaria::connect {

struct TrustOptions {
  bool allow_simulated = false;           ///< the command line says so; the policy must as well
  std::optional<attest::Bundle> bundle;   ///< for collateral that a document lacks
  std::function<attest::TimePoint()> now; ///< empty: the system's clock
  /// What collateral may not be older than; null: what this object has relied on itself.
  std::shared_ptr<attest::SeenCollateral> seen;
  /// Gives evidence the collateral that it lacks, from wherever; empty: nothing does.
  std::function<void(attest::EvidenceSet&)> complete;
};

/// Whom a client is willing to talk to: one policy with all that it names, read once. Immutable;
/// thread-safe.
class Trust {
public:
  /// @throws Error{config} for a root or an authority that cannot be read.
  explicit Trust(attest::Policy policy, TrustOptions options = {});
  /// @throws Error{config, io, usage} naming the file that cannot be used.
  static std::shared_ptr<const Trust> read(const std::filesystem::path& policy,
                                           const std::filesystem::path& bundle,
                                           TrustOptions options);

  const attest::Policy& policy() const noexcept { return policy_; }
  const transport::ClientTls& tls() const noexcept { return tls_; }
  /// Never before the newest date that was signed and relied on.
  attest::TimePoint now() const;

  /// The verdict on an evidence document that came over the connection of `own`. Collateral that is
  /// older than was relied on before is refused: `rollback`.
  attest::Verdict judge(std::string_view document, const attest::BindingInput& own) const;
  /// The verdict on a server of which there is no evidence. Status 9, or 6 for codes that end in
  /// "-missing".
  attest::Verdict refuse(std::string_view code, const std::string& reason) const;

private:
  attest::JudgeOptions options() const;
  void note_collateral(attest::Verdict& verdict) const;

  const attest::Policy policy_;
  const TrustOptions options_;
  const std::shared_ptr<attest::SeenCollateral> seen_;
  const attest::TrustAnchors anchors_;
  const transport::ClientTls tls_;
};

} // namespace talaria::connect
