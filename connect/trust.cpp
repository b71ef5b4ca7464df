#include "connect/trust.hpp"

#include <chrono>
#include <fstream>
#include <iterator>

#include <fmt/format.h>

#include "attest/policy/policy_file.hpp"
#include "core/error.hpp"

namespace talaria::connect {

namespace {

constexpr std::size_t kMostBundleBytes = std::size_t{16} << 20;

/// Evidence says "a genuine one" and not "the one I called": without a name it is anybody's.
transport::ServerExpectation expectation_of(const attest::Policy& policy) {
  const attest::ServicePolicy& service = policy.service;
  if (!service.any_name && service.names.empty() && service.pins.empty())
    throw Error(Errc::config, fmt::format("policy {}: service: missing; expected names (with ca, "
                                          "unless the system's authorities vouch for them), pins, "
                                          "or names: any",
                                          policy.name));
  transport::ServerExpectation expected;
  expected.any_name = service.any_name;
  if (!service.any_name) expected.names = service.names;
  expected.ca = service.ca;
  expected.pins = service.pins;
  return expected;
}

attest::Bundle bundle_of(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  const std::vector<u8> bytes{std::istreambuf_iterator<char>(stream), {}};
  if (!stream.is_open() || stream.bad()) throw Error(Errc::io, file.string() + ": cannot be read");
  if (bytes.size() > kMostBundleBytes)
    throw Error(Errc::usage, file.string() + ": larger than a bundle can be");
  auto bundle = attest::Bundle::from_tar(bytes);
  if (!bundle)
    throw Error(Errc::usage, fmt::format("{}: {}", file.string(), bundle.refusal().reason));
  return std::move(*bundle);
}

} // namespace

Trust::Trust(attest::Policy policy, TrustOptions options)
    : policy_(std::move(policy)), options_(std::move(options)),
      seen_(options_.seen ? options_.seen : std::make_shared<attest::SeenCollateral>()),
      anchors_(attest::trust_anchors(policy_)), tls_(expectation_of(policy_)) {}

std::shared_ptr<const Trust> Trust::read(const std::filesystem::path& policy,
                                         const std::filesystem::path& bundle,
                                         TrustOptions options) {
  if (!bundle.empty()) options.bundle = bundle_of(bundle);
  return std::make_shared<const Trust>(attest::read_policy(policy), std::move(options));
}

attest::TimePoint Trust::now() const {
  const attest::TimePoint system =
      options_.now ? options_.now()
                   : std::chrono::floor<attest::Seconds>(std::chrono::system_clock::now());
  return seen_->not_before_seen(system);
}

attest::JudgeOptions Trust::options() const {
  attest::JudgeOptions options;
  options.now = now();
  options.clock =
      options_.now || options.now <= std::chrono::system_clock::now() ? "system" : "signed";
  options.allow_simulated = options_.allow_simulated;
  return options;
}

attest::Verdict Trust::judge(std::string_view text, const attest::BindingInput& own) const {
  auto document = attest::parse_document(text);
  if (!document) return attest::refuse_unread(document.refusal(), policy_, options());
  if (options_.bundle) options_.bundle->complete(document->evidence);
  if (options_.complete) options_.complete(document->evidence);
  attest::Verdict verdict = attest::judge_session(*document, own, policy_, anchors_, options());
  if (verdict.accepted) note_collateral(verdict);
  return verdict;
}

/// A server staples its own, and could go on with what was in force before something was revoked.
void Trust::note_collateral(attest::Verdict& verdict) const {
  const attest::Ledger* ledger = verdict.collateral();
  if (ledger == nullptr) return;
  try {
    if (const auto refusal = seen_->note(*ledger, verdict.platform())) verdict.refuse(*refusal);
  } catch (const Error& error) { // a file that cannot be written must not make anything acceptable
    verdict.refuse({attest::Stage::collateral, "seen-collateral-missing", error.what()});
  }
}

attest::Verdict Trust::refuse(std::string_view code, const std::string& reason) const {
  const bool is_missing = code.ends_with("-missing");
  const attest::Stage stage = is_missing ? attest::Stage::collateral : attest::Stage::binding;
  return attest::refuse_unread({stage, std::string(code), reason}, policy_, options());
}

} // namespace talaria::connect
