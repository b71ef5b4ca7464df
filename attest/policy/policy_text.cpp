#include "attest/policy/policy_text.hpp"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "attest/evidence/snp_report.hpp"
#include "core/digest.hpp"

namespace talaria::attest {
namespace {

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

SnpTcb least_of(const SnpFacts& facts) {
  SnpTcb least = facts.reported;
  for (const SnpTcb* tcb : {&facts.committed, &facts.current, &facts.launch}) {
    least.fmc = std::min(least.fmc, tcb->fmc);
    least.boot_loader = std::min(least.boot_loader, tcb->boot_loader);
    least.tee = std::min(least.tee, tcb->tee);
    least.snp = std::min(least.snp, tcb->snp);
    least.microcode = std::min(least.microcode, tcb->microcode);
  }
  return least;
}

std::string snp_image(const SnpReport& report) {
  return fmt::format("    snp:\n"
                     "      measurement: [{}] # launch digest: firmware, kernel, command line\n"
                     "      host_data: [{}] # what the host gave at launch\n"
                     "      id_key: [{}]\n",
                     to_hex(report.measurement), to_hex(report.host_data),
                     to_hex(report.id_key_digest));
}

std::string tdx_image(const TdxQuote& quote) {
  std::string text =
      fmt::format("    tdx:\n      mr_td: [{}] # firmware\n      rtmr:\n", to_hex(quote.mr_td));
  for (std::size_t i = 0; i < quote.rtmr.size(); ++i)
    text += fmt::format("        {}: [{}]\n", i, to_hex(quote.rtmr[i]));
  return text + fmt::format("      mr_config_id: [{}]\n", to_hex(quote.mr_config_id));
}

std::string azure_image(const Judgement& judgement) {
  std::string text = "    azure: # MEASUREMENT is Microsoft's; the image is in the registers\n";
  if (judgement.snp)
    text += fmt::format("      id_key: [{}]\n", to_hex(judgement.snp->report.id_key_digest));
  text += "      pcrs:\n";
  for (const std::size_t number : {4, 9, 11, 12}) {
    const std::size_t at = number * kPcrBytes;
    if (at + kPcrBytes > judgement.azure->pcrs.size()) continue;
    text += fmt::format("        {}: [{}]\n", number,
                        to_hex(Bytes(judgement.azure->pcrs).subspan(at, kPcrBytes)));
  }
  return text;
}

std::string snp_section(const SnpFacts& facts) {
  const SnpReport& report = facts.report;
  const std::string product = lower(to_string(facts.product));
  const SnpTcb least = least_of(facts);
  std::string text = "snp:\n";
  text += fmt::format("  products: [{}]{}\n", product,
                      facts.product == SnpProduct::milan
                          ? " # software can read a Milan's keys (arXiv 2605.12990)"
                          : "");
  if (report.signer == SnpSigner::vlek)
    text += fmt::format("  signer: [vlek]\n  csp: ['{}']\n", facts.csp);
  text += fmt::format("  min_tcb: {{ {}: {{ {}bl: {}, tee: {}, snp: {}, ucode: {} }} }}\n", product,
                      facts.product == SnpProduct::turin ? fmt::format("fmc: {}, ", least.fmc) : "",
                      least.boot_loader, least.tee, least.snp, least.microcode);
  if (report.policy & snp_policy::kDebug)
    text += "  debug: true # the host can read this guest's memory\n";
  if (report.policy & snp_policy::kMigrationAgent) text += "  migration_agent: true\n";
  text += fmt::format("  smt: {}\n  vmpl: {}\n  report_version: {}\n",
                      report.policy & snp_policy::kSmt ? "allow" : "forbid", report.vmpl,
                      report.version);
  if (report.signer == SnpSigner::vcek)
    text += fmt::format("  chips: [{}] # or any\n", to_hex(report.chip_id));
  return text;
}

std::string advisories_of(const TcbVerdict& tcb) {
  std::string text;
  for (const std::string& id : tcb.advisories) text += (text.empty() ? "" : ", ") + id;
  return text;
}

std::string tdx_section(const TdxFacts& facts) {
  const TdxQuote& quote = facts.quote;
  std::string text = "tdx:\n";
  if (facts.tcb)
    text += fmt::format("  status: [{}]\n  advisories_allowed: [{}]\n  min_evaluation: {}\n",
                        to_string(facts.tcb->status), advisories_of(*facts.tcb),
                        std::min(facts.tcb_evaluation, facts.qe_evaluation));
  if (quote.td_attributes & td_attribute::kUnderDebug)
    text += "  debug: true # the host can look into this TD\n";
  const u64 attributes = quote.td_attributes & ~td_attribute::kUnderDebug;
  text += fmt::format("  attributes: {{ require: {0:#x}, allow: {0:#x} }}\n", attributes);
  text += fmt::format("  xfam: {{ allow: {:#x} }}\n", quote.xfam);
  if (!all_zero(quote.mr_service_td)) text += "  service_td: true # others may migrate this TD\n";
  text += fmt::format("  mr_seam: [{}] # changes with each TDX module; or any\n",
                      to_hex(quote.mr_seam));
  if (facts.pck && !facts.pck->platform_instance.empty())
    text += fmt::format("  platforms: [{}] # or any\n", to_hex(facts.pck->platform_instance));
  return text;
}

} // namespace

std::string policy_for(const Judgement& judgement, EvidenceKind kind, const std::string& name,
                       const std::filesystem::path& simulated_root) {
  const bool simulated = !simulated_root.empty();
  std::string text = "# Accepts exactly the machine that this was written for, as it was then.\n"
                     "version: 1\n";
  text +=
      fmt::format("name: {}\nevidence: [{}]\n", name, simulated ? "simulated" : to_string(kind));
  text += "images: # one must match as a whole; lists mean \"one of\"\n";
  text += fmt::format("  - name: {}\n", name);
  if (judgement.azure)
    text += azure_image(judgement);
  else if (judgement.snp)
    text += snp_image(judgement.snp->report);
  else if (judgement.tdx)
    text += tdx_image(judgement.tdx->quote);
  if (judgement.snp) text += snp_section(*judgement.snp);
  if (judgement.tdx) text += tdx_section(*judgement.tdx);
  const bool has_lists =
      judgement.snp ? judgement.snp->has_crl : judgement.tdx && judgement.tdx->has_collateral;
  text +=
      fmt::format("collateral: {{ crl: {}, skew: 5m }}{}\n", has_lists ? "required" : "if-present",
                  has_lists ? "" : " # no CRL came with the evidence: better require one");
  if (simulated)
    text += fmt::format("simulated: {{ root: '{}' }}\n",
                        std::filesystem::absolute(simulated_root).string());
  return text;
}

} // namespace talaria::attest
