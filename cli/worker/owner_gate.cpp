#include "cli/worker/owner_gate.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "attest/evidence/encodings.hpp"
#include "attest/policy/policy_file.hpp"

namespace talaria::cli {

namespace {

constexpr int kUndecided = 6;

/// Services are not asked for the sake of evidence that would be refused all the same: they would
/// learn of it, and whoever makes it would have them asked.
bool lacks_collateral_alone(const attest::Verdict& verdict) {
  return verdict.status == kUndecided &&
         std::ranges::all_of(verdict.checks.ordered(), [](const attest::Check& check) {
           return check.result != attest::CheckResult::fail ||
                  attest::grade_of(check.stage, check.name) == attest::Grade::undecided;
         });
}

} // namespace

OwnerGate::OwnerGate(attest::Policy policy, bool allow_simulated,
                     std::unique_ptr<attest::SeenCollateral> seen,
                     std::function<attest::TimePoint()> now)
    : policy_(std::move(policy)), anchors_(attest::trust_anchors(policy_)),
      allow_simulated_(allow_simulated),
      seen_(seen ? std::move(seen) : std::make_unique<attest::SeenCollateral>()),
      now_(std::move(now)) {}

std::shared_ptr<OwnerGate> OwnerGate::read(const std::filesystem::path& policy,
                                           bool allow_simulated,
                                           const std::filesystem::path& seen) {
  return std::make_shared<OwnerGate>(attest::read_policy(policy), allow_simulated,
                                     seen.empty() ? nullptr
                                                  : std::make_unique<attest::SeenCollateral>(seen));
}

OwnerGate::Judged OwnerGate::verdict_on(std::string_view text, const attest::BindingInput& own,
                                        attest::TimePoint now,
                                        std::chrono::milliseconds patience) const {
  attest::JudgeOptions options;
  options.now = now;
  options.allow_simulated = allow_simulated_;
  auto document = attest::parse_document(text);
  if (!document) return {attest::refuse_unread(document.refusal(), policy_, options), {}};
  if (fetcher_) fetcher_->complete(document->evidence, now);
  const auto judge = [&] {
    return attest::judge_session(*document, own, policy_, anchors_, options);
  };
  Judged judged{judge(), {}};
  if (fetcher_ && lacks_collateral_alone(judged.verdict)) {
    judged.trouble = fetcher_->fetch(document->evidence, now, patience);
    judged.verdict = judge();
  }
  look_ahead(document->evidence, judged.verdict, now);
  return judged;
}

/// Asks for what runs out before the verdict after the next, while this one holds.
void OwnerGate::look_ahead(const attest::EvidenceSet& set, const attest::Verdict& verdict,
                           attest::TimePoint now) const {
  const std::chrono::seconds ahead = 2 * policy_.binding.max_age;
  if (fetcher_ && verdict.accepted && verdict.valid_until && *verdict.valid_until < now + ahead)
    fetcher_->refresh(set, now, ahead);
}

/// Evidence says "a genuine one"; a pin says which.
bool OwnerGate::is_pinned(const Sha256Digest& key) const {
  const auto& pins = policy_.service.pins;
  return pins.empty() || std::ranges::find(pins, key) != pins.end();
}

/// What a verdict that accepts leaves to be looked at.
std::optional<attest::Refusal> OwnerGate::refusal_after(const attest::Verdict& verdict,
                                                        const Sha256Digest& key) const {
  if (!is_pinned(key))
    return attest::Refusal{attest::Stage::binding, "certificate",
                           "the enclave's TLS key is none of those that the policy pins "
                           "(service.pins)"};
  const attest::Ledger* ledger = verdict.collateral();
  if (ledger == nullptr) return std::nullopt;
  return seen_->note(*ledger, verdict.platform());
}

transport::GateVerdict OwnerGate::judge(std::string_view document,
                                        const transport::LinkBinding& link,
                                        std::chrono::milliseconds patience) {
  const attest::TimePoint now = seen_->not_before_seen(
      now_ ? now_() : std::chrono::floor<attest::Seconds>(std::chrono::system_clock::now()));
  attest::BindingInput own;
  own.role = attest::Role::client;
  own.nonce = link.nonce;
  own.channel = attest::channel_of_link(link.control, link.up, link.down);
  own.key = link.enclave_key;
  const auto [verdict, trouble] = verdict_on(document, own, now, patience);
  transport::GateVerdict out;
  out.undecided = verdict.status == kUndecided;
  const auto refusal =
      verdict.accepted ? refusal_after(verdict, link.enclave_key) : verdict.refusal;
  out.accepted = verdict.accepted && !refusal;
  if (refusal) {
    out.code = refusal->code;
    out.reason = refusal->reason;
    if (out.undecided && !trouble.empty()) out.reason += "; asking for it did not help: " + trouble;
  }
  if (!out.accepted) return out;
  out.valid_for = policy_.binding.max_age;
  if (verdict.valid_until)
    out.valid_for = std::min<std::chrono::seconds>(out.valid_for, *verdict.valid_until - now);
  if (seal_secret_) out.seal_key = seal_key_for(verdict, *seal_secret_);
  out.about =
      fmt::format("{}{}, image \"{}\", policy \"{}\"", verdict.simulated ? "SIMULATED " : "",
                  to_string(verdict.kind), verdict.image.name, policy_.name);
  return out;
}

} // namespace talaria::cli
