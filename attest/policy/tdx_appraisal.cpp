#include <algorithm>

#include <fmt/format.h>

#include "attest/policy/parts.hpp"

namespace talaria::attest {
namespace {

constexpr Stage kStatus = Stage::tcb_status;

bool is_out_of_date(TcbStatus status) {
  return status == TcbStatus::out_of_date || status == TcbStatus::out_of_date_configuration_needed;
}

/// Out of date, but for less time than the policy bears.
bool is_within_grace(const TcbVerdict& tcb, const TdxPolicy& policy, TimePoint now) {
  return is_out_of_date(tcb.status) && tcb.outdated_since && policy.out_of_date_for.count() > 0 &&
         now <= *tcb.outdated_since + policy.out_of_date_for;
}

void check_status(const TdxFacts& facts, const TdxPolicy& policy, TimePoint now, Checks& checks,
                  std::vector<std::string>& warnings) {
  const TcbVerdict& tcb = *facts.tcb;
  const bool listed =
      policy.any_status || std::ranges::find(policy.statuses, tcb.status) != policy.statuses.end();
  const bool grace = !listed && is_within_grace(tcb, policy, now);
  checks.require(
      (listed || grace) && tcb.status != TcbStatus::revoked, kStatus, "tcb-status",
      fmt::format("the platform is {}, which the policy does not accept", to_string(tcb.status)),
      {}, to_string(tcb.status));
  if (grace)
    warnings.push_back(fmt::format("the platform is {} since {}; the policy bears that until {}",
                                   to_string(tcb.status), to_text(*tcb.outdated_since),
                                   to_text(*tcb.outdated_since + policy.out_of_date_for)));
  if (policy.any_advisory) return;
  for (const std::string& id : tcb.advisories)
    checks.require(
        std::ranges::find(policy.advisories_allowed, id) != policy.advisories_allowed.end(),
        kStatus, "advisories", id + " applies, and the policy does not accept it", {}, id);
}

void check_collateral(const TdxFacts& facts, const Policy& policy, TimePoint now, Checks& checks,
                      std::vector<std::string>& warnings) {
  if (!facts.has_collateral) {
    checks.require(!policy.collateral.crl_required, Stage::collateral, "collateral-missing",
                   "no TCB info and no CRLs at hand, and the policy requires them");
    warnings.push_back("no collateral: neither revocation nor the TCB of the platform is known");
    return;
  }
  const u32 evaluation = std::min(facts.tcb_evaluation, facts.qe_evaluation);
  checks.require(evaluation >= policy.tdx.least_evaluation, kStatus, "evaluation",
                 fmt::format("collateral of evaluation {}; the policy asks for {}", evaluation,
                             policy.tdx.least_evaluation));
  if (facts.tcb) check_status(facts, policy.tdx, now, checks, warnings);
}

void check_attributes(const TdxQuote& quote, const TdxPolicy& policy, Checks& checks) {
  constexpr u64 kFpuAndSse = 3;
  const u64 attributes = quote.td_attributes;
  checks.require(policy.debug || !(attributes & td_attribute::kUnderDebug), kPolicy, "debug",
                 "the host may look into this TD");
  const u64 allowed = policy.attributes_allow | policy.attributes_require |
                      (policy.debug ? td_attribute::kUnderDebug : 0);
  checks.require((attributes & policy.attributes_require) == policy.attributes_require, kPolicy,
                 "attributes", "the TD lacks attributes that the policy asks for",
                 fmt::format("{:#x}", policy.attributes_require), fmt::format("{:#x}", attributes));
  checks.require(!(attributes & ~allowed & ~td_attribute::kUnderDebug), kPolicy, "attributes",
                 "the TD has attributes that the policy does not allow",
                 fmt::format("{:#x}", allowed), fmt::format("{:#x}", attributes));
  checks.require((quote.xfam & kFpuAndSse) == kFpuAndSse &&
                     !(policy.xfam_allow && quote.xfam & ~*policy.xfam_allow),
                 kPolicy, "xfam", "the TD has extended features that the policy does not allow",
                 policy.xfam_allow ? fmt::format("{:#x}", *policy.xfam_allow) : "",
                 fmt::format("{:#x}", quote.xfam));
}

template <std::size_t N>
bool is_one_of(Bytes value, const OneOf<N>& allowed) {
  return std::ranges::any_of(allowed,
                             [&](const auto& each) { return std::ranges::equal(each, value); });
}

} // namespace

void appraise_tdx(const TdxFacts& facts, const Policy& all, TimePoint now, Checks& checks,
                  std::vector<std::string>& warnings) {
  const TdxPolicy& policy = all.tdx;
  check_collateral(facts, all, now, checks, warnings);
  check_attributes(facts.quote, policy, checks);
  checks.require(policy.service_td || all_zero(facts.quote.mr_service_td), kPolicy, "service-td",
                 "a service TD may take part in this TD's migration", {},
                 to_hex(facts.quote.mr_service_td));
  checks.require(policy.mr_seam.empty() || is_one_of(facts.quote.mr_seam, policy.mr_seam), kPolicy,
                 "mr-seam", "the TDX module is not one of the policy's", {},
                 to_hex(facts.quote.mr_seam));
  if (policy.platforms.empty()) return;
  const Bytes instance = facts.pck ? Bytes(facts.pck->platform_instance) : Bytes();
  checks.require(is_one_of(instance, policy.platforms), kPolicy, "chip",
                 "the platform is not one of the policy's", {}, to_hex(instance));
}

} // namespace talaria::attest
