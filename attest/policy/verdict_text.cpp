#include <fmt/format.h>

#include "attest/policy/parts.hpp"
#include "attest/policy/verdict.hpp"

namespace talaria::attest {
namespace {

const char* word_of(CheckResult result) {
  switch (result) {
  case CheckResult::pass:
    return "pass";
  case CheckResult::fail:
    return "FAIL";
  case CheckResult::skipped:
    return "skip";
  }
  return "";
}

std::string tcb_line(const char* which, const SnpTcb& tcb, SnpProduct product) {
  const std::string fmc = product == SnpProduct::turin ? fmt::format("fmc {} ", tcb.fmc) : "";
  return fmt::format("  {:<10} {}bl {} tee {} snp {} ucode {}\n", which, fmc, tcb.boot_loader,
                     tcb.tee, tcb.snp, tcb.microcode);
}

std::string snp_text(const SnpFacts& facts) {
  const SnpReport& report = facts.report;
  std::string text = fmt::format("platform     SEV-SNP, {}, report version {}, {}\n",
                                 facts.product_name.empty() ? to_string(facts.product)
                                                            : facts.product_name.c_str(),
                                 report.version, to_string(report.signer));
  text += fmt::format("measurement  {}\nhost data    {}\nreport data  {}\nchip         {}\n",
                      to_hex(report.measurement), to_hex(report.host_data),
                      to_hex(report.report_data), to_hex(report.chip_id));
  text += fmt::format("platform is  {}\nTCB\n", platform_names(report.platform_info));
  text += tcb_line("reported", facts.reported, facts.product);
  text += tcb_line("committed", facts.committed, facts.product);
  text += tcb_line("current", facts.current, facts.product);
  return text + tcb_line("launch", facts.launch, facts.product);
}

std::string tdx_text(const TdxFacts& facts) {
  const TdxQuote& quote = facts.quote;
  std::string text = fmt::format("platform     TDX, quote version {}\nmr_td        {}\n",
                                 quote.version, to_hex(quote.mr_td));
  for (std::size_t i = 0; i < quote.rtmr.size(); ++i)
    text += fmt::format("rtmr{}        {}\n", i, to_hex(quote.rtmr[i]));
  text += fmt::format("mr_config_id {}\nreport data  {}\n", to_hex(quote.mr_config_id),
                      to_hex(quote.report_data));
  if (facts.pck) text += fmt::format("fmspc        {}\n", to_hex(facts.pck->fmspc));
  if (!facts.tcb) return text;
  text += fmt::format("TCB status   {} (level of {}; evaluation {})\n",
                      to_string(facts.tcb->status), facts.tcb->tcb_date, facts.tcb_evaluation);
  for (const std::string& id : facts.tcb->advisories) text += fmt::format("advisory     {}\n", id);
  return text;
}

std::string image_text(const ImageMatch& image) {
  if (!image.name.empty()) return fmt::format("image        {}\n", image.name);
  if (image.nearest.empty()) return {};
  std::string text =
      fmt::format("image        none; nearest is {}, which differs in\n", image.nearest);
  for (const Difference& each : image.differences)
    text += fmt::format("  {}\n    expected {}\n    actual   {}\n", each.field, each.expected,
                        each.actual);
  return text;
}

std::string statement_text(const Statement& statement) {
  std::string text = fmt::format(
      "it says of itself\n  service    {}\n  software   {}\n  model      {} {}\n"
      "  weights    {}\n  masking    {} {}, integrity {}, padding {}\n  config     {}\n",
      statement.service, statement.software, statement.model, to_hex(statement.model_root),
      statement.weights, statement.scheme, statement.parameters, statement.integrity,
      statement.padding, to_hex(statement.configuration));
  for (const AdapterClaim& adapter : statement.adapters)
    text += fmt::format("  adapter    {} {}\n", adapter.name, to_hex(adapter.root));
  return text;
}

std::string checks_text(const Checks& checks) {
  std::string text;
  for (const Check& check : checks.ordered()) {
    text += fmt::format("{}  {:<11} {}{}\n", word_of(check.result), to_string(check.stage),
                        check.name, check.reason.empty() ? "" : ": " + check.reason);
    if (check.result != CheckResult::fail) continue;
    if (!check.expected.empty()) text += fmt::format("      expected {}\n", check.expected);
    if (!check.actual.empty()) text += fmt::format("      actual   {}\n", check.actual);
  }
  return text;
}

} // namespace

std::string to_text(const Verdict& verdict) {
  std::string text;
  for (const std::string& warning : verdict.warnings)
    text += warning == kSimulationWarning ? warning + "\n" : "warning: " + warning + "\n";
  text += checks_text(verdict.checks);
  if (verdict.snp) text += snp_text(*verdict.snp);
  if (verdict.tdx) text += tdx_text(*verdict.tdx);
  text += image_text(verdict.image);
  if (verdict.binding) text += fmt::format("bound to key {}\n", to_hex(verdict.binding->key));
  if (verdict.statement) text += statement_text(*verdict.statement);
  if (verdict.valid_until) text += fmt::format("valid until  {}\n", to_text(*verdict.valid_until));
  if (verdict.accepted)
    return text + fmt::format("verdict      accepted{} (status {})\n",
                              verdict.simulated ? ", SIMULATED" : "", verdict.status);
  return text + fmt::format("verdict      refused at {}: {}: {} (status {})\n",
                            to_string(verdict.refusal->stage), verdict.refusal->code,
                            verdict.refusal->reason, verdict.status);
}

} // namespace talaria::attest
