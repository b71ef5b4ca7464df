#include "attest/collateral/collateral_key.hpp"

#include <fmt/format.h>

#include "attest/evidence/hcl.hpp"
#include "attest/evidence/pck.hpp"
#include "attest/evidence/pcs_json.hpp"
#include "attest/evidence/tdx_quote.hpp"

namespace talaria::attest {
namespace {

bool is_of_amd(EvidenceKind kind) {
  return kind == EvidenceKind::snp || kind == EvidenceKind::azure_snp;
}

std::optional<SnpReport> report_of(const EvidenceSet& set) {
  std::vector<u8> inner;
  Bytes bytes = set.get("report");
  if (set.kind == EvidenceKind::azure_snp) {
    const auto hcl = parse_hcl(set.get("hcl"));
    if (!hcl) return std::nullopt;
    inner = hcl->report;
    bytes = inner;
  }
  const auto report = parse_snp_report(bytes);
  return report ? std::optional(*report) : std::nullopt;
}

/// Of version 2, which has no CPUID, the leaf's issuer says the product.
std::optional<SnpProduct> product_of(const SnpReport& report, const EvidenceSet& set) {
  if (report.product) return report.product;
  const auto leaf = Certificate::bundle(set.get("leaf"));
  if (!leaf) return SnpProduct::milan; // versions before 3 were made for Milan and Genoa
  for (const auto product : {SnpProduct::milan, SnpProduct::genoa, SnpProduct::turin})
    if (leaf->front().issuer_name().ends_with(to_string(product))) return product;
  return std::nullopt;
}

std::map<std::string, std::string> amd_places(const AmdKey& key) {
  const char* name = to_string(key.product);
  const bool is_vlek = key.signer == SnpSigner::vlek;
  // A VLEK is of no chip: its place is told by the TCB alone.
  const std::string chip = is_vlek ? "vlek" : to_hex(key.chip).substr(0, 32);
  const SnpTcb& tcb = key.tcb;
  return {{"leaf", fmt::format("amd/vcek/{}/{}/{}-{}-{}-{}-{}.der", name, chip, tcb.fmc,
                               tcb.boot_loader, tcb.tee, tcb.snp, tcb.microcode)},
          {"authority", fmt::format("amd/{}-{}.der", name, is_vlek ? "asvk" : "ask")},
          {"crl", fmt::format("amd/{}.crl", name)}};
}

std::map<std::string, std::string> intel_places(const IntelKey& key) {
  return {{"tcb_info", fmt::format("intel/{}/tcb_info.json", to_hex(key.fmspc))},
          {"qe_identity", "intel/qe_identity.json"},
          {"tcb_chain", "intel/tcb_chain.pem"},
          {"qe_chain", "intel/qe_chain.pem"},
          {"root_crl", "intel/root.crl"},
          {"pck_crl", key.is_platform ? "intel/pck-platform.crl" : "intel/pck-processor.crl"}};
}

} // namespace

std::optional<AmdKey> amd_key(const EvidenceSet& set) {
  const auto report = is_of_amd(set.kind) ? report_of(set) : std::nullopt;
  const auto product = report ? product_of(*report, set) : std::nullopt;
  if (!product) return std::nullopt;
  const std::size_t id_bytes = *product == SnpProduct::turin ? 8 : 64;
  return AmdKey{*product, report->signer, to_vector(Bytes(report->chip_id).first(id_bytes)),
                decode_tcb(report->reported, *product)};
}

std::optional<IntelKey> intel_key(const EvidenceSet& set) {
  const auto quote =
      is_of_amd(set.kind) ? Parsed<TdxQuote>(Refusal{}) : parse_tdx_quote(set.get("quote"));
  if (!quote) return std::nullopt;
  Bytes pem(quote->chain);
  while (!pem.empty() && pem.back() == 0) pem = pem.first(pem.size() - 1);
  const auto chain = Certificate::bundle(pem);
  if (!chain || chain->size() != 3) return std::nullopt;
  const auto pck = read_pck(chain->front());
  if (!pck) return std::nullopt;
  return IntelKey{pck->fmspc, (*chain)[1].common_name().ends_with("Platform CA")};
}

std::map<std::string, std::string> collateral_places(const EvidenceSet& set) {
  if (const auto amd = amd_key(set)) return amd_places(*amd);
  const auto intel = intel_key(set);
  return intel ? intel_places(*intel) : std::map<std::string, std::string>();
}

std::optional<Validity> validity_of(const std::string& place, Bytes content) {
  if (place.ends_with(".crl")) {
    const auto list = RevocationList::from(content);
    const auto next = list ? list->next_update() : std::nullopt;
    return next ? std::optional(Validity{list->this_update(), *next}) : std::nullopt;
  }
  if (place.ends_with(".json")) {
    const auto body = split_signed_body(
        content, place.ends_with("tcb_info.json") ? "tcbInfo" : "enclaveIdentity");
    const auto head = body ? read_pcs_head(body->text) : Parsed<PcsHead>(body.refusal());
    return head ? std::optional(Validity{head->issued, head->next_update}) : std::nullopt;
  }
  const auto certificates = Certificate::bundle(content);
  if (!certificates) return std::nullopt;
  return Validity{certificates->front().starts(), certificates->front().ends()};
}

} // namespace talaria::attest
