#include "attest/endpoint/simulated_source.hpp"

#include <algorithm>

#include "core/error.hpp"

namespace talaria::attest {

SimulatedSource::SimulatedSource(const std::filesystem::path& folder, const SimulatedGuest& guest)
    : platform_(folder), guest_(guest) {
  if (guest.kind != EvidenceKind::snp && guest.kind != EvidenceKind::tdx)
    throw Error(Errc::usage, "a simulated platform gives evidence of the kinds snp and tdx");
}

EvidenceSet SimulatedSource::evidence(const Bound& bound) {
  EvidenceSet set;
  set.kind = guest_.kind;
  const auto take = [&set](auto items) {
    for (auto& [name, bytes] : items) set.items[name] = std::move(bytes);
  };
  if (guest_.kind == EvidenceKind::tdx) {
    simulated::QuoteSpec quote;
    quote.mr_td = guest_.measurement;
    std::ranges::copy(guest_.configuration, quote.mr_config_id.begin());
    quote.report_data = bound.report_data;
    take(platform_.tdx(quote));
  } else {
    simulated::ReportSpec report;
    report.measurement = guest_.measurement;
    report.host_data = guest_.configuration;
    report.report_data = bound.report_data;
    take(platform_.snp(report));
  }
  return set;
}

std::optional<SealKey> SimulatedSource::derived_key() {
  if (guest_.kind != EvidenceKind::snp) return std::nullopt;
  const SealKey chip = platform_.chip_secret();
  std::vector<u8> about = to_vector(as_bytes("talaria simulated chip v1"));
  about.insert(about.end(), guest_.measurement.begin(), guest_.measurement.end());
  return derive_key(chip, guest_.configuration, about);
}

} // namespace talaria::attest
