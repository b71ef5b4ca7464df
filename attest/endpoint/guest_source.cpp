#include "attest/endpoint/guest_source.hpp"

#include <algorithm>
#include <system_error>

#include "attest/evidence/snp_report.hpp"
#include "attest/evidence/tdx_quote.hpp"
#include "attest/guest/certificate_table.hpp"
#include "attest/guest/sev_guest.hpp"
#include "core/error.hpp"

namespace talaria::attest {
namespace {

bool has_file(const std::filesystem::path& file) {
  std::error_code ignored;
  return std::filesystem::exists(file, ignored);
}

EvidenceSet snp_evidence(std::vector<u8> report, Bytes table) {
  EvidenceSet set;
  set.kind = EvidenceKind::snp;
  set.items["report"] = std::move(report);
  for (auto& [name, bytes] : read_certificate_table(table)) set.items[name] = std::move(bytes);
  return set;
}

EvidenceSet of_provider(TsmReport made) {
  if (made.provider == "sev_guest") return snp_evidence(std::move(made.report), made.auxiliary);
  if (made.provider != "tdx_guest")
    throw Error(Errc::config, "configfs-tsm: the provider is neither sev_guest nor tdx_guest");
  EvidenceSet set;
  set.kind = EvidenceKind::tdx;
  set.items["quote"] = std::move(made.report);
  return set;
}

} // namespace

GuestSource::GuestSource(GuestOptions options) : options_(std::move(options)) {
  if (!options_.tsm) options_.tsm = tsm_below(options_.root);
  if (options_.tsm->is_there()) return;
  const bool wants_tdx = options_.platform == GuestPlatform::tdx;
  if (!wants_tdx && has_file(sev_device())) return;
  if (has_file(options_.root / "dev/tdx_guest") || has_file(options_.root / "dev/tdx-guest"))
    throw Error(Errc::config,
                "serve.attestation: this is a TDX guest, and its kernel has no configfs-tsm, by "
                "which quotes are asked for; use Linux 6.7 or later and mount configfs");
  throw Error(Errc::config,
              "serve.attestation: this machine is no confidential guest that gives evidence: there "
              "is neither /sys/kernel/config/tsm/report (mount configfs, load sev-guest or "
              "tdx-guest) nor /dev/sev-guest");
}

EvidenceSet GuestSource::ask(const std::array<u8, 64>& report_data) {
  if (options_.tsm->is_there())
    return of_provider(request_report(*options_.tsm, report_data, options_.attempts));
  const SevGuest guest(sev_device(), options_.devices, options_.attempts);
  SevGuest::Report made = guest.report(report_data);
  return snp_evidence(std::move(made.report), made.auxiliary);
}

EvidenceSet GuestSource::evidence(const Bound& bound) {
  EvidenceSet set = ask(bound.report_data);
  require_own(set, bound.report_data);
  if (options_.bundle) options_.bundle->complete(set);
  return set;
}

void GuestSource::require_own(const EvidenceSet& set, const std::array<u8, 64>& report_data) const {
  const bool is_snp = set.kind == EvidenceKind::snp;
  if ((options_.platform == GuestPlatform::sev_snp && !is_snp) ||
      (options_.platform == GuestPlatform::tdx && is_snp))
    throw Error(Errc::config, std::string("serve.attestation.platform is another than this "
                                          "machine's, which is ") +
                                  (is_snp ? "sev-snp" : "tdx"));
  const auto foreign = [] {
    return Error(Errc::io, "the platform gave a report about something else than was asked");
  };
  if (is_snp) {
    const auto report = parse_snp_report(set.get("report"));
    if (!report) throw Error(Errc::io, "the platform's report: " + report.refusal().reason);
    if (report->report_data != report_data) throw foreign();
    return require_configuration(report->host_data);
  }
  const auto quote = parse_tdx_quote(set.get("quote"));
  if (!quote) throw Error(Errc::io, "the platform's quote: " + quote.refusal().reason);
  if (quote->report_data != report_data) throw foreign();
  require_configuration(quote->mr_config_id);
}

/// Zeros: whoever started the guest said nothing, and policies cannot demand a configuration.
void GuestSource::require_configuration(Bytes started_with) const {
  if (all_zero(started_with)) return;
  const std::size_t size = options_.configuration.size();
  if (std::ranges::equal(started_with.first(size), options_.configuration) &&
      all_zero(started_with.subspan(size)))
    return;
  throw Error(Errc::config, "this guest was started for another configuration: HOST_DATA or "
                            "MRCONFIGID is " +
                                to_hex(started_with) + ", and sha256 of the file is " +
                                to_hex(options_.configuration));
}

std::optional<SealKey> GuestSource::derived_key() {
  if (options_.platform == GuestPlatform::tdx || !has_file(sev_device())) return std::nullopt;
  return SevGuest(sev_device(), options_.devices, options_.attempts).derived_key();
}

} // namespace talaria::attest
