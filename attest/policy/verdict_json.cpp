#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "attest/policy/verdict.hpp"

namespace talaria::attest {
namespace {

using Json = nlohmann::ordered_json;

Json tcb_json(const SnpTcb& tcb, SnpProduct product) {
  Json object;
  if (product == SnpProduct::turin) object["fmc"] = tcb.fmc;
  object["bl"] = tcb.boot_loader;
  object["tee"] = tcb.tee;
  object["snp"] = tcb.snp;
  object["ucode"] = tcb.microcode;
  return object;
}

template <class Name>
Json bit_names(u64 bits, unsigned first, Name&& name_of) {
  Json names = Json::array();
  for (unsigned bit = first; bit < 64; ++bit) {
    if (!(bits >> bit & 1)) continue;
    const char* name = name_of(bit);
    names.push_back(name ? std::string(name) : fmt::format("bit{}", bit));
  }
  return names;
}

void add_snp(const SnpFacts& facts, Json& object) {
  constexpr unsigned kFirstPolicyBit = 16;
  const SnpReport& report = facts.report;
  object["product"] = facts.product_name.empty() ? to_string(facts.product) : facts.product_name;
  object["report_version"] = report.version;
  object["signer"] = to_string(report.signer);
  if (!facts.csp.empty()) object["csp"] = facts.csp;
  object["tcb"] = {{"reported", tcb_json(facts.reported, facts.product)},
                   {"committed", tcb_json(facts.committed, facts.product)},
                   {"current", tcb_json(facts.current, facts.product)},
                   {"launch", tcb_json(facts.launch, facts.product)}};
  object["platform_info"] = bit_names(report.platform_info, 0, platform_bit_name);
  object["policy_bits"] = bit_names(report.policy, kFirstPolicyBit, policy_bit_name);
  object["vmpl"] = report.vmpl;
  object["guest_svn"] = report.guest_svn;
  object["chip"] = to_hex(report.chip_id);
  object["report_id"] = to_hex(report.report_id);
  object["measurement"] = to_hex(report.measurement);
  object["host_data"] = to_hex(report.host_data);
  object["family_id"] = to_hex(report.family_id);
  object["image_id"] = to_hex(report.image_id);
  object["id_key"] = to_hex(report.id_key_digest);
  object["author_key"] = to_hex(report.author_key_digest);
  object["report_data"] = to_hex(report.report_data);
}

void add_tdx(const TdxFacts& facts, Json& object) {
  const TdxQuote& quote = facts.quote;
  object["quote_version"] = quote.version;
  object["body_type"] = quote.body_type;
  if (facts.tcb) {
    object["tcb_status"] = to_string(facts.tcb->status);
    object["advisories"] = facts.tcb->advisories;
    object["tcb_date"] = facts.tcb->tcb_date;
    object["evaluation"] = std::min(facts.tcb_evaluation, facts.qe_evaluation);
  }
  if (facts.pck) {
    object["fmspc"] = to_hex(facts.pck->fmspc);
    if (!facts.pck->platform_instance.empty())
      object["piid"] = to_hex(facts.pck->platform_instance);
  }
  object["tee_tcb_svn"] = to_hex(quote.tee_tcb_svn);
  object["mr_seam"] = to_hex(quote.mr_seam);
  object["td_attributes"] = fmt::format("{:#x}", quote.td_attributes);
  object["xfam"] = fmt::format("{:#x}", quote.xfam);
  object["mr_td"] = to_hex(quote.mr_td);
  object["rtmr"] = Json::array();
  for (const auto& value : quote.rtmr) object["rtmr"].push_back(to_hex(value));
  object["mr_config_id"] = to_hex(quote.mr_config_id);
  object["report_data"] = to_hex(quote.report_data);
}

void add_azure(const AzureFacts& facts, Json& object) {
  Json azure{
      {"hcl_version", facts.hcl_version}, {"user_data", facts.user_data}, {"vm_id", facts.vm_id}};
  if (facts.secure_boot) azure["secure_boot"] = *facts.secure_boot;
  azure["pcrs"] = Json::array();
  for (std::size_t at = 0; at < facts.pcrs.size(); at += kPcrBytes)
    azure["pcrs"].push_back(to_hex(Bytes(facts.pcrs).subspan(at, kPcrBytes)));
  object["azure"] = std::move(azure);
}

Json checks_json(const Checks& checks) {
  Json list = Json::array();
  for (const Check& check : checks.ordered()) {
    Json entry{{"name", check.name},
               {"stage", to_string(check.stage)},
               {"result", check.result == CheckResult::pass   ? "pass"
                          : check.result == CheckResult::fail ? "fail"
                                                              : "skipped"}};
    if (!check.reason.empty()) entry["reason"] = check.reason;
    if (!check.expected.empty()) entry["expected"] = check.expected;
    if (!check.actual.empty()) entry["actual"] = check.actual;
    list.push_back(std::move(entry));
  }
  return list;
}

Json nearest_json(const ImageMatch& image) {
  Json differences = Json::array();
  for (const Difference& each : image.differences)
    differences.push_back(
        {{"field", each.field}, {"expected", each.expected}, {"actual", each.actual}});
  return {{"name", image.nearest}, {"differences", std::move(differences)}};
}

Json collateral_json(const Ledger& ledger) {
  Json list = Json::array();
  for (const CollateralItem& item : ledger.items())
    list.push_back({{"what", item.what},
                    {"issuer", item.issuer},
                    {"this_update", to_text(item.this_update)},
                    {"next_update", to_text(item.next_update)},
                    {"sha256", to_hex(item.digest)}});
  return list;
}

Json binding_json(const BindingInput& binding) {
  return {{"kind", "session"},
          {"role", static_cast<int>(binding.role)},
          {"nonce", to_hex(binding.nonce)},
          {"key", to_hex(binding.key)},
          {"statement", to_hex(binding.statement)}};
}

/// The field order of the statement itself.
Json statement_json(const Statement& statement) {
  return Json::parse(to_json(statement));
}

void add_head(const Verdict& verdict, Json& object) {
  object["accepted"] = verdict.accepted;
  object["status"] = verdict.status;
  object["check"] = verdict.refusal ? Json(verdict.refusal->code) : Json();
  object["reason"] = verdict.refusal ? verdict.refusal->reason : "";
  object["platform"] = to_string(verdict.kind);
  object["simulated"] = verdict.simulated;
  object["at"] = to_text(verdict.at);
  object["clock"] = verdict.clock;
  object["policy"] = {{"name", verdict.policy_name}, {"sha256", verdict.policy_sha256}};
  object["image"] = verdict.image.name.empty() ? Json() : Json(verdict.image.name);
  if (verdict.image.name.empty() && !verdict.image.nearest.empty())
    object["nearest"] = nearest_json(verdict.image);
}

} // namespace

std::string to_json(const Verdict& verdict) {
  Json object;
  add_head(verdict, object);
  object["checks"] = checks_json(verdict.checks);
  if (verdict.snp) add_snp(*verdict.snp, object);
  if (verdict.tdx) add_tdx(*verdict.tdx, object);
  if (verdict.azure) add_azure(*verdict.azure, object);
  object["binding"] = verdict.binding ? binding_json(*verdict.binding) : Json();
  object["statement"] = verdict.statement ? statement_json(*verdict.statement) : Json();
  if (const Ledger* ledger = verdict.collateral()) object["collateral"] = collateral_json(*ledger);
  object["valid_until"] = verdict.valid_until ? Json(to_text(*verdict.valid_until)) : Json();
  object["warnings"] = verdict.warnings;
  return object.dump(-1, ' ', false, Json::error_handler_t::replace);
}

} // namespace talaria::attest
