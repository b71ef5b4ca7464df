#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/engine_flags.hpp"
#include "cli/prompts.hpp"
#include "core/console.hpp"
#include "model/tokenizer.hpp"
#include "model/weights/gguf_model.hpp"
#include "model/weights/plan_file.hpp"
#include "settings/shipped_model.hpp"

namespace talaria::cli {

namespace {

struct TokenizeFlags {
  std::string model;
  std::string text;
  bool decode = false;
  bool add_special = false;
  bool skip_special = false;
  bool json = false;
  bool chat = false;
  ChatFlags chat_flags;
};

std::string input_text(const std::string& argument) {
  if (argument != "-") return argument;
  return std::string(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
}

/// A list of ids as flags take it, a JSON list, or what --json prints.
std::vector<u32> parse_ids(const std::string& text) {
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos || (text[begin] != '[' && text[begin] != '{'))
    return parse_token_list(text, "TEXT");
  const auto document = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto list = document.is_object() ? document.value("ids", nlohmann::json()) : document;
  const auto is_id = [](const nlohmann::json& id) {
    return id.is_number_unsigned() && id.get<u64>() <= ~u32{0};
  };
  if (!list.is_array() || !std::all_of(list.begin(), list.end(), is_id))
    throw Error(Errc::usage, "TEXT: neither a JSON list of token ids nor {\"ids\":[...]}");
  return list.get<std::vector<u32>>();
}

/// Rows of the model's matrices; 0 if the folder has no config.json (a tokenizer alone will do).
u32 rows_of(const std::filesystem::path& model) {
  const bool has_config =
      model::names_gguf(model) || std::filesystem::exists(model / "config.json");
  return has_config ? model::load_model_plan(model).vocab : 0;
}

/// An id of the model that no token stands for is the empty text; one beyond the model is a slip.
void check_ids(const std::vector<u32>& ids, const model::Tokenizer& tokenizer,
               const std::filesystem::path& model) {
  const u32 tokens = tokenizer.vocab_size();
  const u32 most = ids.empty() ? 0 : *std::max_element(ids.begin(), ids.end());
  if (ids.empty() || most < tokens) return;
  const u32 rows = rows_of(model);
  if (most >= rows)
    throw Error(Errc::usage, fmt::format("there is no token {}; ids end at {}", most,
                                         static_cast<i64>(std::max(tokens, rows)) - 1));
}

int tokenize(const TokenizeFlags& flags) {
  const std::filesystem::path model =
      flags.model.empty() ? settings::shipped_model() : std::filesystem::path(flags.model);
  if (model.empty()) throw Error(Errc::usage, "no model: give --model DIR");
  const model::TextFiles files = model::model_texts(model);
  const auto tokenizer = model::Tokenizer::load(files);
  const std::string input = input_text(flags.text);
  if (flags.decode) {
    const std::vector<u32> ids = parse_ids(input);
    check_ids(ids, tokenizer, model);
    const std::string text = tokenizer.decode(ids, flags.skip_special);
    print_out("{}\n", flags.json ? nlohmann::json{{"text", text}}.dump() : text);
    return 0;
  }
  if (flags.chat_flags.given() && !flags.chat)
    throw Error(Errc::usage, "--system, --allow-special and --chat-date need --chat");
  const std::vector<u32> ids = flags.chat ? flags.chat_flags.encoder(files, tokenizer, "today")
                                                .encode(flags.chat_flags.messages(input))
                                          : tokenizer.encode(input, flags.add_special);
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
  command->add_option("--model", flags->model, "model folder with tokenizer.json, or GGUF file");
  command->add_flag("--decode", flags->decode,
                    "TEXT is a list of ids, or what --json printed: print the text");
  command->add_flag("--add-special", flags->add_special,
                    "also what a model expects around a text (BOS)");
  command->add_flag("--skip-special", flags->skip_special,
                    "with --decode: leave special tokens out");
  command->add_flag("--json", flags->json,
                    "print {\"ids\":[...],\"tokens\":[...]} or {\"text\":...}");
  command->add_flag("--chat", flags->chat, "TEXT is a user's message in the chat template");
  flags->chat_flags.add_to(*command);
  command->add_option("TEXT", flags->text, "the text, or - for standard input")->required();
  command->callback(
      [flags, &chosen] { chosen = [flags](InterruptWatch&) { return tokenize(*flags); }; });
}

} // namespace talaria::cli
