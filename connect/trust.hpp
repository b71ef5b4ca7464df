#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "attest/binding/binding.hpp"
#include "attest/collateral/bundle.hpp"
#include "attest/policy/verdict.hpp"
#include "transport/client_tls.hpp"

namespace talaria::connect {

struct TrustOptions {
  bool allow_simulated = false;           ///< the command line says so; the policy must as well
  std::optional<attest::Bundle> bundle;   ///< for collateral that a document lacks
  std::function<attest::TimePoint()> now; ///< empty: the system's clock
};

/// Whom a client is willing to talk to: one policy with all that it names, read once. Immutable;
/// thread-safe.
class Trust {
public:
  /// @throws Error{config} for a root or an authority that cannot be read.
  explicit Trust(attest::Policy policy, TrustOptions options = {});
  /// @throws Error{config, io, usage} naming the file that cannot be used.
  static std::shared_ptr<const Trust> read(const std::filesystem::path& policy,
                                           bool allow_simulated,
                                           const std::filesystem::path& bundle);

  const attest::Policy& policy() const noexcept { return policy_; }
  const transport::ClientTls& tls() const noexcept { return tls_; }
  attest::TimePoint now() const;

  /// The verdict on an evidence document that came over the connection of `own`.
  attest::Verdict judge(std::string_view document, const attest::BindingInput& own) const;
  /// The verdict on a server of which there is no evidence. Status 9, or 6 for codes that end in
  /// "-missing".
  attest::Verdict refuse(std::string_view code, const std::string& reason) const;

private:
  attest::JudgeOptions options() const;

  const attest::Policy policy_;
  const TrustOptions options_;
  const attest::TrustAnchors anchors_;
  const transport::ClientTls tls_;
};

} // namespace talaria::connect
