#include "attest/collateral/bundle.hpp"

#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "attest/evidence/hcl.hpp"
#include "attest/evidence/pck.hpp"
#include "core/digest.hpp"

namespace talaria::attest {
namespace {

constexpr const char* kManifest = "manifest.json";

bool is_snp(EvidenceKind kind) {
  return kind == EvidenceKind::snp || kind == EvidenceKind::azure_snp;
}

/// Where each item of a piece of evidence lies in a bundle. Every part of a name is a fixed word or
/// the hexadecimal of a parsed field.
using Places = std::map<std::string, std::string>;

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

Places amd_places(const EvidenceSet& set) {
  const auto report = report_of(set);
  const auto product = report ? product_of(*report, set) : std::nullopt;
  if (!product) return {};
  const char* name = to_string(*product);
  const SnpTcb tcb = decode_tcb(report->reported, *product);
  const std::size_t id_bytes = *product == SnpProduct::turin ? 8 : 64;
  // A VLEK is of no chip: its place is told by the TCB alone.
  const std::string chip = report->signer == SnpSigner::vlek
                               ? "vlek"
                               : to_hex(Bytes(report->chip_id).first(id_bytes)).substr(0, 32);
  Places places;
  places["leaf"] = fmt::format("amd/vcek/{}/{}/{}-{}-{}-{}-{}.der", name, chip, tcb.fmc,
                               tcb.boot_loader, tcb.tee, tcb.snp, tcb.microcode);
  places["authority"] =
      fmt::format("amd/{}-{}.der", name, report->signer == SnpSigner::vlek ? "asvk" : "ask");
  places["crl"] = fmt::format("amd/{}.crl", name);
  return places;
}

Places intel_places(const EvidenceSet& set) {
  const auto quote = parse_tdx_quote(set.get("quote"));
  if (!quote) return {};
  Bytes pem(quote->chain);
  while (!pem.empty() && pem.back() == 0) pem = pem.first(pem.size() - 1);
  const auto chain = Certificate::bundle(pem);
  if (!chain || chain->size() != 3) return {};
  const auto pck = read_pck(chain->front());
  if (!pck) return {};
  const bool is_platform = (*chain)[1].common_name().ends_with("Platform CA");
  return {{"tcb_info", fmt::format("intel/{}/tcb_info.json", to_hex(pck->fmspc))},
          {"qe_identity", "intel/qe_identity.json"},
          {"tcb_chain", "intel/tcb_chain.pem"},
          {"qe_chain", "intel/qe_chain.pem"},
          {"root_crl", "intel/root.crl"},
          {"pck_crl", is_platform ? "intel/pck-platform.crl" : "intel/pck-processor.crl"}};
}

Places places_of(const EvidenceSet& set) {
  return is_snp(set.kind) ? amd_places(set) : intel_places(set);
}

/// Until when a file is in force, for the manifest; empty if its bytes do not say.
std::string end_of(const std::string& name, Bytes content) {
  if (name.ends_with(".crl")) {
    const auto list = RevocationList::from(content);
    const auto next = list ? list->next_update() : std::nullopt;
    return next ? to_text(*next) : "";
  }
  if (name.ends_with(".json")) {
    const auto body =
        split_signed_body(content, name.ends_with("tcb_info.json") ? "tcbInfo" : "enclaveIdentity");
    const auto head = body ? read_pcs_head(body->text) : Parsed<PcsHead>(body.refusal());
    return head ? to_text(head->next_update) : "";
  }
  const auto certificates = Certificate::bundle(content);
  return certificates ? to_text(certificates->front().ends()) : "";
}

} // namespace

void Bundle::add(const EvidenceSet& set) {
  for (const auto& [item, place] : places_of(set))
    if (const Bytes content = set.get(item); !content.empty()) files_[place] = to_vector(content);
}

std::vector<std::string> Bundle::complete(EvidenceSet& set) const {
  std::vector<std::string> added;
  for (const auto& [item, place] : places_of(set)) {
    const auto found = files_.find(place);
    if (!set.get(item).empty() || found == files_.end()) continue;
    set.items[item] = found->second;
    added.push_back(item);
  }
  return added;
}

std::vector<u8> Bundle::to_tar() const {
  nlohmann::ordered_json manifest{{"v", 1}, {"files", nlohmann::ordered_json::array()}};
  for (const auto& [name, content] : files_)
    manifest["files"].push_back({{"name", name},
                                 {"sha256", to_hex(sha256(content))},
                                 {"in_force_until", end_of(name, content)}});
  ArchiveFiles all = files_;
  const std::string text = manifest.dump(1) + "\n";
  all[kManifest] = to_vector(as_bytes(text));
  return write_tar(all);
}

Parsed<Bundle> Bundle::from_tar(Bytes bytes) {
  auto files = read_tar(bytes);
  if (!files) return files.refusal();
  Bundle bundle;
  bundle.files_ = std::move(*files);
  bundle.files_.erase(kManifest);
  return bundle;
}

} // namespace talaria::attest
