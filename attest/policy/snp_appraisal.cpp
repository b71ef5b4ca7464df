#include <algorithm>

#include <fmt/format.h>

#include "attest/policy/parts.hpp"

namespace talaria::attest {
namespace {

constexpr unsigned kKnownPlatformBits = 8;

struct Component {
  const char* name;
  std::optional<u8> least;
  u8 value;
};

/// Component by component: as one number, microcode in the top byte would hide all the others.
void check_floor(const char* which, const SnpTcb& tcb, const SnpFloor& floor, Checks& checks) {
  for (const Component& part :
       {Component{"fmc", floor.fmc, tcb.fmc}, Component{"bl", floor.boot_loader, tcb.boot_loader},
        Component{"tee", floor.tee, tcb.tee}, Component{"snp", floor.snp, tcb.snp},
        Component{"ucode", floor.microcode, tcb.microcode}})
    if (part.least)
      checks.require(part.value >= *part.least, kPolicy, "tcb",
                     fmt::format("the {} TCB has {} {}; the policy asks for {}", which, part.name,
                                 part.value, *part.least),
                     fmt::format("{} {}", part.name, *part.least),
                     fmt::format("{} {}", part.name, part.value));
}

void check_floors(const SnpFacts& facts, const SnpPolicy& policy, Checks& checks) {
  const auto floor = policy.floors.find(facts.product);
  if (floor == policy.floors.end()) return;
  check_floor("current", facts.current, floor->second, checks);
  check_floor("reported", facts.reported, floor->second, checks);
  check_floor("committed", facts.committed, floor->second, checks);
  if (policy.check_launch) check_floor("launch", facts.launch, floor->second, checks);
}

template <class T>
bool contains(const std::vector<T>& list, const T& value) {
  return std::ranges::find(list, value) != list.end();
}

void check_machine(const SnpFacts& facts, const SnpPolicy& policy, Checks& checks) {
  const SnpReport& report = facts.report;
  checks.require(contains(policy.products, facts.product), kPolicy, "product",
                 fmt::format("the policy does not name {}{}", to_string(facts.product),
                             facts.product == SnpProduct::milan
                                 ? ", whose keys software can read (arXiv 2605.12990)"
                                 : ""));
  checks.require(
      contains(policy.signers, report.signer), kPolicy, "signer",
      fmt::format("signed with a {}, which the policy does not allow", to_string(report.signer)));
  if (report.signer == SnpSigner::vlek)
    checks.require(policy.any_csp || contains(policy.csp, facts.csp), kPolicy, "csp",
                   "the provider in the VLEK is not one of the policy's", {}, facts.csp);
  checks.require(report.version >= policy.least_version, kPolicy, "report-version",
                 fmt::format("report version {}; the policy asks for {}", report.version,
                             policy.least_version));
  checks.require(policy.chips.empty() || contains(policy.chips, report.chip_id), kPolicy, "chip",
                 "the chip is not one of the policy's", {}, to_hex(report.chip_id));
}

void check_platform_info(const SnpReport& report, const SnpPolicy& policy, Checks& checks) {
  const u64 info = report.platform_info;
  const u64 missing = policy.platform_require & ~info;
  const u64 forbidden = policy.platform_forbid & info;
  checks.require(missing == 0, kPolicy, "platform", "the platform lacks " + platform_names(missing),
                 platform_names(missing));
  checks.require(forbidden == 0, kPolicy, "platform",
                 "the platform has " + platform_names(forbidden), {}, platform_names(forbidden));
  if (policy.refuse_unknown_platform_bits)
    checks.require(info >> kKnownPlatformBits == 0, kPolicy, "platform",
                   "the platform reports bits that are not known", {},
                   platform_names(info >> kKnownPlatformBits << kKnownPlatformBits));
}

} // namespace

std::string platform_names(u64 bits) {
  std::string names;
  for (unsigned bit = 0; bit < 64; ++bit) {
    if (!(bits >> bit & 1)) continue;
    const char* name = platform_bit_name(bit);
    names += (names.empty() ? "" : " ") + (name ? std::string(name) : fmt::format("bit{}", bit));
  }
  return names;
}

void appraise_snp(const SnpFacts& facts, const Policy& all, Checks& checks,
                  std::vector<std::string>& warnings) {
  const SnpPolicy& policy = all.snp;
  const SnpReport& report = facts.report;
  checks.require(policy.debug || !(report.policy & snp_policy::kDebug), kPolicy, "debug",
                 "the host may debug this guest and read its memory");
  checks.require(policy.migration_agent || !(report.policy & snp_policy::kMigrationAgent), kPolicy,
                 "migration", "a migration agent may move this guest");
  checks.require(report.vmpl <= policy.max_vmpl, kPolicy, "vmpl",
                 fmt::format("asked for from VMPL {}; the policy allows {} at most", report.vmpl,
                             policy.max_vmpl));
  check_floors(facts, policy, checks);
  check_machine(facts, policy, checks);
  checks.require(policy.smt || !(report.policy & snp_policy::kSmt), kPolicy, "smt",
                 "the guest allows SMT, the policy forbids it");
  check_platform_info(report, policy, checks);
  checks.require((report.launch_mitigations & policy.mitigations) == policy.mitigations, kPolicy,
                 "mitigations", "the firmware lacks mitigations that the policy asks for");
  if (!facts.has_crl) {
    checks.require(!all.collateral.crl_required, Stage::revocation, "crl-missing",
                   "no CRL at hand, and the policy requires one");
    warnings.push_back("no CRL: whether AMD has revoked the chain is not known");
  }
  if (facts.product == SnpProduct::milan)
    warnings.push_back("Milan: whoever has had such a chip in his hands may sign any report "
                       "(arXiv 2605.12990)");
}

} // namespace talaria::attest
