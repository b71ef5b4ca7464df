#include <fmt/format.h>

#include <iostream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/engine_flags.hpp"
#include "core/console.hpp"
#include "model/tokenizer.hpp"

namespace talaria::cli {

namespace {

struct TokenizeFlags {
  std::string model;
  std::string text;
  bool decode = false;
  bool add_special = false;
  bool skip_special = false;
  bool json = false;
};

std::string input_text(const std::string& argument) {
  if (argument != "-") return argument;
  return std::string(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
}

int tokenize(const TokenizeFlags& flags) {
  const std::filesystem::path model =
      flags.model.empty() ? shipped_model() : std::filesystem::path(flags.model);
  if (model.empty()) throw Error(Errc::usage, "no model: give --model DIR");
  const auto tokenizer = model::Tokenizer::load(model);
  const std::string input = input_text(flags.text);
  if (flags.decode) {
    const std::string text = tokenizer.decode(parse_token_list(input, "TEXT"), flags.skip_special);
    print_out("{}\n", flags.json ? nlohmann::json{{"text", text}}.dump() : text);
    return 0;
  }
  const std::vector<u32> ids = tokenizer.encode(input, flags.add_special);
  if (!flags.json) {
    print_out("{}\n", fmt::join(ids, ","));
    return 0;
  }
  std::vector<std::string> pieces;
  for (const u32 id : ids) pieces.emplace_back(tokenizer.token(id));
  print_out("{}\n", nlohmann::json{{"ids", ids}, {"tokens", pieces}}.dump());
  return 0;
}

} // namespace

void add_tokenize_command(CLI::App& app, Action& chosen) {
  auto flags = std::make_shared<TokenizeFlags>();
  CLI::App* command = app.add_subcommand("tokenize", "Text to token ids, or back");
  command->add_option("--model", flags->model, "model folder with tokenizer.json");
  command->add_flag("--decode", flags->decode,
                    "TEXT is a list of ids: print the text they stand for");
  command->add_flag("--add-special", flags->add_special,
                    "also what a model expects around a text (BOS)");
  command->add_flag("--skip-special", flags->skip_special,
                    "with --decode: leave special tokens out");
  command->add_flag("--json", flags->json,
                    "print {\"ids\":[...],\"tokens\":[...]} or {\"text\":...}");
  command->add_option("TEXT", flags->text, "the text, or - for standard input")->required();
  command->callback(
      [flags, &chosen] { chosen = [flags](InterruptWatch&) { return tokenize(*flags); }; });
}

} // namespace talaria::cli
