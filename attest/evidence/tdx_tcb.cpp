#include "attest/evidence/tdx_tcb.hpp"

#include <algorithm>
#include <cstdio>
#include <set>

namespace talaria::attest {
namespace {

/// Module SVN and major version lie in bytes 0 and 1 of TEE_TCB_SVN.
constexpr std::size_t kModuleSvn = 0;
constexpr std::size_t kModuleMajor = 1;
constexpr std::size_t kLoaderSvn = 2;

bool masked_equal(Bytes value, Bytes mask, Bytes wanted) {
  if (value.size() != mask.size() || value.size() != wanted.size()) return false;
  for (std::size_t i = 0; i < value.size(); ++i)
    if ((value[i] & mask[i]) != (wanted[i] & mask[i])) return false;
  return true;
}

const ModuleIdentity* find_module(const TcbInfo& info, u8 major) {
  char id[8];
  std::snprintf(id, sizeof id, "TDX_%02X", major);
  for (const ModuleIdentity& module : info.modules)
    if (module.id == id) return &module;
  return nullptr;
}

const IsvLevel* reached(const std::vector<IsvLevel>& levels, u32 svn) {
  for (const IsvLevel& level : levels)
    if (svn >= level.isv_svn) return &level;
  return nullptr;
}

bool reaches_sgx(const TcbInput& input, const PlatformLevel& level) {
  for (std::size_t i = 0; i < level.sgx.size(); ++i)
    if (input.sgx[i] < level.sgx[i]) return false;
  return input.pce_svn >= level.pce_svn;
}

bool reaches_tdx(const TcbInput& input, const PlatformLevel& level) {
  // From module version 1 on the module has levels of its own.
  const std::size_t first = input.tee_svn[kModuleMajor] > 0 ? 2 : 0;
  for (std::size_t i = first; i < level.tdx.size(); ++i)
    if (input.tee_svn[i] < level.tdx[i]) return false;
  return true;
}

TcbStatus status_of(const TcbClaim& claim) {
  const auto status = parse_tcb_status(claim.status);
  if (!status) refuse(Stage::tcb_status, "tcb-status", "a level has a status that is not known");
  return *status;
}

bool wants_configuration(TcbStatus status) {
  return status == TcbStatus::configuration_needed ||
         status == TcbStatus::configuration_and_sw_hardening_needed ||
         status == TcbStatus::out_of_date_configuration_needed ||
         status == TcbStatus::td_relaunch_advised_configuration_needed;
}

bool is_outdated(TcbStatus status) {
  return status == TcbStatus::out_of_date || status == TcbStatus::out_of_date_configuration_needed;
}

bool is_current(TcbStatus status) {
  return status == TcbStatus::up_to_date || status == TcbStatus::sw_hardening_needed ||
         status == TcbStatus::configuration_needed ||
         status == TcbStatus::configuration_and_sw_hardening_needed;
}

/// What an outdated part makes of the status of the whole.
TcbStatus outdated(TcbStatus whole) {
  if (!is_current(whole)) return whole;
  return wants_configuration(whole) ? TcbStatus::out_of_date_configuration_needed
                                    : TcbStatus::out_of_date;
}

/// Whether the module that runs now, unlike the one at the TD's launch, is the newest.
bool runs_newest_module(const std::array<u8, 16>& svn, const TcbInfo& info) {
  const PlatformLevel& newest = info.levels.front();
  u32 wanted = newest.tdx[kModuleSvn];
  if (svn[kModuleMajor] > 0) {
    const ModuleIdentity* module = find_module(info, svn[kModuleMajor]);
    if (!module || module->levels.empty()) return false;
    wanted = module->levels.front().isv_svn;
  }
  return svn[kModuleSvn] >= wanted && svn[kLoaderSvn] >= newest.tdx[kLoaderSvn];
}

/// The platform has been patched, but this TD was started before.
bool asks_for_relaunch(const TcbInput& input, const TcbInfo& info, TcbStatus whole,
                       TcbStatus module, TcbStatus qe, TcbStatus& platform) {
  if (!input.tee_svn_2 || !is_current(qe) || !is_outdated(module) || !is_outdated(whole))
    return false;
  const auto level = std::ranges::find_if(
      info.levels, [&](const PlatformLevel& each) { return reaches_sgx(input, each); });
  if (level == info.levels.end()) return false;
  platform = status_of(level->claim);
  return is_current(platform) && runs_newest_module(*input.tee_svn_2, info);
}

TcbStatus merge(const TcbInput& input, const TcbInfo& info, TcbStatus platform,
                std::optional<TcbStatus> module, TcbStatus qe) {
  if (platform == TcbStatus::revoked || qe == TcbStatus::revoked || module == TcbStatus::revoked)
    return TcbStatus::revoked;
  TcbStatus whole = module && is_outdated(*module) ? outdated(platform) : platform;
  TcbStatus sgx = platform;
  if (module && asks_for_relaunch(input, info, whole, *module, qe, sgx))
    whole = wants_configuration(whole) || wants_configuration(sgx)
                ? TcbStatus::td_relaunch_advised_configuration_needed
                : TcbStatus::td_relaunch_advised;
  return is_outdated(qe) ? outdated(whole) : whole;
}

/// When the level above `level` came out, if `level` is outdated and there is one above.
template <class Level>
std::optional<TimePoint> superseded(const std::vector<Level>& levels, const Level* level) {
  if (!level || !is_outdated(status_of(level->claim)) || level == levels.data())
    return std::nullopt;
  return parse_time((level - 1)->claim.date);
}

template <class T>
std::optional<T> earlier(std::optional<T> a, std::optional<T> b) {
  return !a ? b : !b ? a : std::min(a, b);
}

TcbVerdict evaluate(const TcbInput& input, const TcbInfo& info, const IsvLevel& qe,
                    const QeIdentity& identity, const IsvLevel* module) {
  const auto level = std::ranges::find_if(info.levels, [&](const PlatformLevel& each) {
    return reaches_sgx(input, each) && reaches_tdx(input, each);
  });
  if (level == info.levels.end())
    refuse(Stage::tcb_status, "tcb",
           "the platform is below the lowest level of its TCB info, which is worse than OutOfDate");
  TcbVerdict verdict;
  verdict.platform_status = level->claim.status;
  verdict.qe_status = qe.claim.status;
  verdict.tcb_date = level->claim.date;
  std::set<std::string> advisories(level->claim.advisories.begin(), level->claim.advisories.end());
  advisories.insert(qe.claim.advisories.begin(), qe.claim.advisories.end());
  std::optional<TcbStatus> module_status;
  if (module) {
    verdict.module_status = module->claim.status;
    module_status = status_of(module->claim);
    advisories.insert(module->claim.advisories.begin(), module->claim.advisories.end());
  }
  verdict.advisories.assign(advisories.begin(), advisories.end());
  verdict.status = merge(input, info, status_of(level->claim), module_status, status_of(qe.claim));
  verdict.outdated_since =
      earlier(superseded(info.levels, &*level), superseded(identity.levels, &qe));
  if (const ModuleIdentity* own = find_module(info, input.tee_svn[kModuleMajor]); own && module)
    verdict.outdated_since = earlier(verdict.outdated_since, superseded(own->levels, module));
  return verdict;
}

const IsvLevel* module_level(const TcbInput& input, const TcbInfo& info) {
  const auto need = [](bool holds, const std::string& what) {
    if (!holds) refuse(Stage::collateral, "tdx-module", what);
  };
  const u8 major = input.tee_svn[kModuleMajor];
  const ModuleIdentity* module = major > 0 ? find_module(info, major) : &info.module;
  need(module != nullptr, "no identity for TDX module version " + std::to_string(major));
  need(std::ranges::equal(input.mr_signer_seam, module->mr_signer),
       "the TDX module is signed by somebody else");
  need(all_zero(input.seam_attributes) &&
           masked_equal(input.seam_attributes, module->attributes_mask, module->attributes),
       "the TDX module has other attributes");
  if (major == 0) return nullptr;
  const IsvLevel* level = reached(module->levels, input.tee_svn[kModuleSvn]);
  need(level != nullptr,
       "TDX module SVN " + std::to_string(input.tee_svn[kModuleSvn]) + " is below every level");
  return level;
}

const IsvLevel* qe_level(const QeReport& report, const QeIdentity& identity) {
  const auto need = [](bool holds, const std::string& what) {
    if (!holds) refuse(Stage::collateral, "qe-identity", what);
  };
  need(masked_equal(report.misc_select, identity.misc_select_mask, identity.misc_select),
       "the quoting enclave has another MISCSELECT");
  need(masked_equal(report.attributes, identity.attributes_mask, identity.attributes),
       "the quoting enclave has other attributes");
  need(std::ranges::equal(report.mr_signer, identity.mr_signer),
       "the quoting enclave is signed by somebody else");
  need(report.product == identity.product,
       "the quoting enclave is product " + std::to_string(report.product));
  const IsvLevel* level = reached(identity.levels, report.svn);
  need(level != nullptr,
       "the quoting enclave's SVN " + std::to_string(report.svn) + " is below every level");
  return level;
}

} // namespace

Parsed<const IsvLevel*> match_qe(const QeReport& report, const QeIdentity& identity) {
  return guarded([&] { return qe_level(report, identity); });
}

Parsed<const IsvLevel*> match_module(const TcbInput& input, const TcbInfo& info) {
  return guarded([&] { return module_level(input, info); });
}

Parsed<TcbVerdict> evaluate_tcb(const TcbInput& input, const TcbInfo& info, const IsvLevel& qe,
                                const QeIdentity& identity, const IsvLevel* module) {
  return guarded([&] { return evaluate(input, info, qe, identity, module); });
}

} // namespace talaria::attest
