#include "attest/endpoint/azure_source.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "attest/evidence/hcl.hpp"
#include "attest/evidence/tpm_quote.hpp"
#include "core/console.hpp"
#include "core/error.hpp"

namespace talaria::attest {
namespace {

constexpr u32 kReportIndex = 0x01400001;    // where the paravisor puts its report
constexpr u32 kAttestationKey = 0x81000003; // whose public half stands in the report's claims
constexpr std::size_t kTdReportBytes = 1024;
constexpr unsigned kMostQuotes = 8;

HclReport parsed(Bytes blob) {
  auto hcl = parse_hcl(blob);
  if (!hcl) throw Error(Errc::io, "the paravisor's report: " + hcl.refusal().reason);
  return std::move(*hcl);
}

} // namespace

AzureSource::AzureSource(AzureOptions options)
    : options_(std::move(options)), tpm_(options_.tpm, options_.attempts) {
  try {
    parsed(tpm_.read_index(kReportIndex));
  } catch (const Error& error) {
    throw Error(Errc::config, fmt::format("serve.attestation: this is no confidential machine of "
                                          "Azure's: its TPM holds no report of a paravisor at "
                                          "0x01400001 ({})",
                                          error.what()));
  }
}

EvidenceSet AzureSource::evidence(const Bound& bound) {
  EvidenceSet set;
  set.items["hcl"] = tpm_.read_index(kReportIndex);
  const HclReport hcl = parsed(set.get("hcl"));
  const bool is_snp = hcl.kind == HclReport::Kind::snp;
  set.kind = is_snp ? EvidenceKind::azure_snp : EvidenceKind::azure_tdx;
  quote_registers(bound, set);
  if (!is_snp) set.items["quote"] = hardware_quote(Bytes(hcl.report).first(kTdReportBytes));
  if (options_.bundle) options_.bundle->complete(set);
  if (is_snp) add_certificates(set);
  return set;
}

/// Registers that were extended between reading and quoting are read again.
void AzureSource::quote_registers(const Bound& bound, EvidenceSet& set) const {
  for (unsigned attempt = 0; attempt < kMostQuotes; ++attempt) {
    std::vector<u8> registers = tpm_.registers();
    TpmDevice::Quote made = tpm_.quote(kAttestationKey, bound.qualifying);
    const auto quote = parse_tpm_quote(made.quote);
    if (!quote) throw Error(Errc::io, "the vTPM's quote: " + quote.refusal().reason);
    if (!std::ranges::equal(quote->extra_data, bound.qualifying))
      throw Error(Errc::io, "the vTPM gave a quote about something else than was asked");
    if (!is_about(*quote, registers)) continue;
    set.items["pcrs"] = std::move(registers);
    set.items["tpm_quote"] = std::move(made.quote);
    set.items["tpm_signature"] = std::move(made.signature);
    return;
  }
  throw Error(Errc::io, "the vTPM's registers change all the time");
}

std::vector<u8> AzureSource::hardware_quote(Bytes td_report) {
  if (!std::ranges::equal(quoted_report_, td_report)) {
    quote_ = azure_quote(options_.metadata, td_report);
    quoted_report_ = to_vector(td_report);
  }
  return quote_;
}

/// Evidence without them is evidence all the same, and a verifier may have them.
void AzureSource::add_certificates(EvidenceSet& set) {
  if (!set.get("leaf").empty()) return;
  if (certificates_.empty()) {
    try {
      certificates_ = azure_certificates(options_.metadata);
    } catch (const Error& error) {
      print_log("talaria: attestation: {}; evidence goes without the chip's certificate",
                error.what());
      return;
    }
  }
  for (const auto& [name, bytes] : certificates_) set.items.try_emplace(name, bytes);
}

} // namespace talaria::attest
