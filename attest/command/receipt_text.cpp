#include "attest/command/receipt_text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace talaria::attest {
namespace {

using Json = nlohmann::ordered_json;

std::string answer_text(const ReceiptAnswer& answer, std::size_t index) {
  return fmt::format("  answer {}   to prompt {}, {} tokens, {}, seed {}\n", index, answer.prompt,
                     answer.tokens, answer.finish, answer.seed);
}

std::string receipt_text(const SignedReceipt& each) {
  const Receipt& receipt = each.receipt;
  std::string text = fmt::format(
      "receipt      {} of {}, {}{}{}\n  service    {}\n  software   {}\n  model      {} {}\n"
      "  weights    {}\n  masking    {} {}, integrity {}\n  key        {}\n"
      "  chain      {} number {}\n",
      receipt.id, to_text(receipt.issued), receipt.endpoint, receipt.stream ? ", stream" : "",
      receipt.cut ? ", cut by the client" : "", receipt.service, receipt.software, receipt.model,
      to_hex(receipt.model_root), receipt.weights, receipt.scheme, receipt.parameters,
      receipt.integrity, each.key_id, to_hex(receipt.chain), receipt.number);
  if (receipt.adapter)
    text +=
        fmt::format("  adapter    {} {}\n", receipt.adapter->name, to_hex(receipt.adapter->root));
  for (std::size_t i = 0; i < receipt.prompts.size(); ++i)
    text += fmt::format("  prompt {}   {} tokens\n", i, receipt.prompts[i].tokens);
  for (std::size_t i = 0; i < receipt.answers.size(); ++i)
    text += answer_text(receipt.answers[i], i);
  return text;
}

std::string check_text(const Check& check) {
  const char* word = check.result == CheckResult::pass   ? "pass"
                     : check.result == CheckResult::fail ? "FAIL"
                                                         : "skip";
  return fmt::format("{}  {:<11} {}{}\n", word, to_string(check.stage), check.name,
                     check.reason.empty() ? "" : ": " + check.reason);
}

Json check_json(const Check& check) {
  Json object{{"name", check.name},
              {"stage", to_string(check.stage)},
              {"result", check.result == CheckResult::pass   ? "pass"
                         : check.result == CheckResult::fail ? "fail"
                                                             : "skipped"}};
  if (!check.reason.empty()) object["reason"] = check.reason;
  return object;
}

} // namespace

std::string to_text(const ReceiptFindings& findings) {
  std::string text;
  if (findings.simulated) text += std::string(kSimulationWarning) + "\n";
  for (const Check& check : findings.checks.ordered()) text += check_text(check);
  for (const SignedReceipt& each : findings.receipts) text += receipt_text(each);
  const auto refusal = findings.checks.refusal();
  if (!refusal)
    return text + fmt::format("verdict      the receipt holds{} (status {})\n",
                              findings.simulated ? ", SIMULATED" : "", findings.status);
  return text + fmt::format("verdict      refused at {}: {}: {} (status {})\n",
                            to_string(refusal->stage), refusal->code, refusal->reason,
                            findings.status);
}

std::string to_json(const ReceiptFindings& findings) {
  const auto refusal = findings.checks.refusal();
  Json object{{"accepted", !refusal},
              {"status", findings.status},
              {"check", refusal ? Json(refusal->code) : Json()},
              {"reason", refusal ? Json(refusal->reason) : Json()},
              {"simulated", findings.simulated},
              {"receipts", Json::array()},
              {"checks", Json::array()}};
  for (const SignedReceipt& each : findings.receipts) {
    object["receipts"].push_back(Json::parse(to_json(each.receipt)));
    object["receipts"].back()["kid"] = each.key_id;
  }
  for (const Check& check : findings.checks.ordered())
    object["checks"].push_back(check_json(check));
  object["evidence"] = findings.evidence ? Json::parse(to_json(*findings.evidence)) : Json();
  return object.dump();
}

} // namespace talaria::attest
