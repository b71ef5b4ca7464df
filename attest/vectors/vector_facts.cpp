#include "attest/vectors/vector_facts.hpp"

#include <fmt/format.h>

#include "core/digest.hpp"

namespace talaria::attest {
namespace {

using FactTable = std::map<std::string, std::string>;

std::string number(u64 value) {
  return fmt::format("{}", value);
}

std::string tcb_text(const TcbVersion& raw, bool turin) {
  constexpr std::array kTurin = {"fmc", "bl", "tee", "snp", "r4", "r5", "r6", "ucode"};
  constexpr std::array kOlder = {"bl", "tee", "r2", "r3", "r4", "r5", "snp", "ucode"};
  std::string text;
  for (std::size_t i = 0; i < raw.size(); ++i)
    text += fmt::format("{}'{}': {}", i == 0 ? "" : ", ", (turin ? kTurin : kOlder)[i], raw[i]);
  return "{" + text + "}";
}

std::string firmware_text(const FirmwareVersion& version) {
  return fmt::format("({}, {}, {})", version.build, version.minor, version.major);
}

void add_identity(const SnpReport& report, FactTable& table) {
  table["version"] = number(report.version);
  table["guest_svn"] = number(report.guest_svn);
  table["policy"] = number(report.policy);
  table["family_id"] = to_hex(report.family_id);
  table["image_id"] = to_hex(report.image_id);
  table["vmpl"] = number(report.vmpl);
  table["algo"] = number(report.signature_algorithm);
  table["platform"] = number(report.platform_info);
  table["flags"] = number(report.key_info);
  table["report_data"] = to_hex(report.report_data);
  table["measurement"] = to_hex(report.measurement);
  table["host_data"] = to_hex(report.host_data);
  table["id_key"] = to_hex(report.id_key_digest);
  table["author_key"] = to_hex(report.author_key_digest);
  table["report_id"] = to_hex(report.report_id);
  table["report_id_ma"] = to_hex(report.report_id_ma);
  table["chip_id"] = to_hex(report.chip_id);
}

void add_snp(const SnpFacts& facts, FactTable& table) {
  const SnpReport& report = facts.report;
  add_identity(report, table);
  table["current"] = to_hex(report.current);
  table["reported"] = to_hex(report.reported);
  table["committed"] = to_hex(report.committed);
  table["launch"] = to_hex(report.launch);
  table["cpuid"] =
      fmt::format("({}, {}, {})", report.cpuid.family, report.cpuid.model, report.cpuid.stepping);
  table["current_fw"] = firmware_text(report.current_firmware);
  table["committed_fw"] = firmware_text(report.committed_firmware);
  table["launch_mit"] = number(report.launch_mitigations);
  table["current_mit"] = number(report.current_mitigations);
  table["signer"] = to_string(report.signer);
  table["product"] = report.product ? to_string(*report.product) : "None";
  table["prod"] = to_string(facts.product);
  table["name"] = facts.product_name;
  table["csp"] = facts.csp;
  table["tcb"] = tcb_text(report.reported, facts.product == SnpProduct::turin);
}

void add_quote(const TdxQuote& quote, FactTable& table) {
  table["version"] = number(quote.version);
  table["type"] = number(quote.body_type);
  table["akt"] = number(quote.attestation_key_type);
  table["tee_tcb_svn"] = to_hex(quote.tee_tcb_svn);
  table["mr_seam"] = to_hex(quote.mr_seam);
  table["mr_signer_seam"] = to_hex(quote.mr_signer_seam);
  table["seam_attributes"] = to_hex(quote.seam_attributes);
  table["mr_td"] = to_hex(quote.mr_td);
  table["mr_config_id"] = to_hex(quote.mr_config_id);
  table["mr_owner"] = to_hex(quote.mr_owner);
  table["mr_owner_config"] = to_hex(quote.mr_owner_config);
  table["report_data"] = to_hex(quote.report_data);
  std::array<u8, 8> attributes{};
  std::array<u8, 8> xfam{};
  for (std::size_t i = 0; i < attributes.size(); ++i) {
    attributes[i] = static_cast<u8>(quote.td_attributes >> (8 * i));
    xfam[i] = static_cast<u8>(quote.xfam >> (8 * i));
  }
  table["td_attributes"] = to_hex(attributes);
  table["xfam"] = to_hex(xfam);
  for (std::size_t i = 0; i < quote.rtmr.size(); ++i)
    table[fmt::format("rtmr{}", i)] = to_hex(quote.rtmr[i]);
  if (quote.body_type != 3) return;
  table["tee_tcb_svn2"] = to_hex(quote.tee_tcb_svn_2);
  table["mr_service_td"] = to_hex(quote.mr_service_td);
}

void add_tdx(const TdxFacts& facts, FactTable& table) {
  add_quote(facts.quote, table);
  if (!facts.tcb) return;
  table["status"] = to_string(facts.tcb->status);
  table["tcb_date"] = facts.tcb->tcb_date;
  table["eval"] = fmt::format("({}, {})", facts.tcb_evaluation, facts.qe_evaluation);
  std::string advisories;
  for (const std::string& id : facts.tcb->advisories)
    advisories += fmt::format("{}'{}'", advisories.empty() ? "" : ", ", id);
  table["advisories"] = "[" + advisories + "]";
}

} // namespace

FactTable vector_facts(const Facts& facts) {
  FactTable table;
  if (facts.snp) add_snp(*facts.snp, table);
  if (facts.tdx) add_tdx(*facts.tdx, table);
  if (facts.azure) table["hcl"] = number(facts.azure->hcl_version);
  if (facts.azure && facts.azure->tpm) table["nonce"] = to_hex(facts.azure->tpm->extra_data);
  return table;
}

} // namespace talaria::attest
