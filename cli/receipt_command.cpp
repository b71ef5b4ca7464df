#include <memory>

#include "attest/command/receipt_command.hpp"
#include "cli/commands.hpp"
#include "cli/receipt_replay.hpp"

namespace talaria::cli {
namespace {

void add_receipt_verify(CLI::App& receipt, Action& chosen) {
  auto flags = std::make_shared<attest::ReceiptVerifyOptions>();
  CLI::App* command = receipt.add_subcommand(
      "verify", "Check receipts; exit 0 they hold, 6 undecided, 7 not genuine, 8 not allowed, 9 of "
                "another request, answer or chain, 10 they hold, but simulated");
  command->add_option("FILE", flags->files, "receipts; several are also checked as a chain")
      ->required();
  CLI::Option* evidence = command->add_option("--evidence", flags->evidence,
                                              "evidence for archives of the server that signed");
  CLI::Option* policy = command->add_option("--policy", flags->policy, "policy for that evidence");
  evidence->needs(policy);
  policy->needs(evidence);
  command->add_option("--key", flags->key, "key that must have signed, base64url")
      ->excludes(evidence);
  command->add_option("--bundle", flags->bundle, "collateral for what the evidence lacks (tar)");
  command->add_option("--request", flags->request, "body of the request that was sent");
  command->add_option("--response", flags->response, "body of the answer that came");
  command->add_option("--at", flags->at, "judge at this time, like 2026-08-01T00:00:00Z");
  command->add_flag("--allow-simulated", flags->allow_simulated,
                    "accept a simulated platform, if the policy does as well");
  command->add_flag("--json", flags->json, "print one JSON object");
  command->callback([flags, &chosen] {
    chosen = [flags](InterruptWatch&) { return attest::verify_receipts(*flags); };
  });
}

void add_receipt_replay(CLI::App& receipt, Action& chosen) {
  auto flags = std::make_shared<ReplayOptions>();
  CLI::App* command = receipt.add_subcommand(
      "replay", "Compute the answer of a receipt anew and compare it bit for bit; exit 0 equal, 7 "
                "not genuine, 8 another model, 9 different");
  command->add_option("FILE", flags->file, "receipt with its salts")->required();
  command->add_option("--model", flags->model, "folder or GGUF file of the same model")->required();
  command->add_option("--lora", flags->lora, "PEFT folder of the adapter that the receipt names");
  CLI::Option* request = command->add_option(
      "--request", flags->request, "body of the request (default: the one kept with the receipt)");
  CLI::Option* prompt = command->add_option("--prompt", flags->prompt,
                                            "the prompt, or what the "
                                            "user said");
  CLI::Option* tokens =
      command->add_option("--prompt-tokens", flags->prompt_tokens, "the prompt as token ids");
  request->excludes(prompt)->excludes(tokens);
  prompt->excludes(tokens);
  command->add_option("--system", flags->system, "system message of a chat")->needs(prompt);
  command->add_option("--key", flags->key, "key that must have signed, base64url");
  command->add_option("--chat-date", flags->chat_date,
                      "what the template is told as the date (default: the receipt's)");
  command->add_flag("--allow-special", flags->allow_special,
                    "the server ran with serve.allow_special");
  command->add_option("--threads", flags->threads, "0: all cores");
  command->add_flag("--json", flags->json, "print one JSON object");
  command->callback([flags, &chosen] {
    chosen = [flags](InterruptWatch& interrupts) { return replay_receipt(*flags, interrupts); };
  });
}

} // namespace

void add_receipt_command(CLI::App& app, Action& chosen) {
  CLI::App* receipt =
      app.add_subcommand("receipt", "Signed receipts of answers: check them, compute them anew");
  receipt->require_subcommand(1);
  add_receipt_verify(*receipt, chosen);
  add_receipt_replay(*receipt, chosen);
}

} // namespace talaria::cli
