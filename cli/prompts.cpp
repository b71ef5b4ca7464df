#include "cli/prompts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>
#include <utility>

#include "core/random.hpp"

namespace talaria::cli {

namespace {

std::string read_stream(std::istream& in) {
  return std::string(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
}

/// One prompt per line; lines without text are skipped, Windows line ends and a byte order mark
/// accepted.
std::vector<std::string> read_lines(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw Error(Errc::io, path + ": cannot read the prompt file");
  std::vector<std::string> lines;
  bool first = true;
  for (std::string line; std::getline(in, line);) {
    if (std::exchange(first, false) && line.starts_with("\uFEFF")) line.erase(0, 3); // a BOM
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty()) lines.push_back(std::move(line));
  }
  if (lines.empty())
    throw Error(Errc::usage, path + ": the prompt file has no prompt; put one on each line");
  return lines;
}

} // namespace

void PromptFlags::add_to(CLI::App& command) {
  command.add_option("--prompt", prompt_, "the prompt");
  command.add_option("--prompt-file", file_, "a file with one prompt per line, answered together");
  command.add_option("--prompt-tokens", tokens_, "the prompt as token ids: 1,2,3");
  command.add_option("STDIN", dash_, "a single -: read the prompt from standard input");
  command.add_flag("--chat", chat_, "put the prompt into the model's chat template");
  chat_flags_.add_to(command);
}

void ChatFlags::add_to(CLI::App& command) {
  command.add_option("--system", system_, "system message for --chat");
  command.add_flag("--allow-special", allow_special_,
                   "with --chat: special tokens written in a message count as such");
  command.add_option("--chat-date", date_,
                     "with --chat: what the template is told as the date: 2026-11-30, or today");
}

model::ChatEncoder ChatFlags::encoder(const model::TextFiles& files,
                                      const model::Tokenizer& tokenizer,
                                      const std::string& date) const {
  auto chat = model::ChatTemplate::load(files);
  if (!chat)
    throw Error(Errc::model,
                files.folder().string() +
                    ": the model has no chat template; use `talaria run` without --chat");
  chat->set_clock(date_ ? model::ChatClock::parse(*date_, "--chat-date")
                        : model::ChatClock::parse(date, "chat.date"));
  return {std::move(*chat), tokenizer, allow_special_};
}

std::vector<model::ChatMessage> ChatFlags::messages(const std::string& text) const {
  std::vector<model::ChatMessage> out;
  if (system_) out.push_back({"system", *system_});
  out.push_back({"user", text});
  return out;
}

PromptTexts PromptFlags::read() const {
  if (prompt_.has_value() + file_.has_value() + tokens_.has_value() + dash_.has_value() != 1)
    throw Error(Errc::usage, "give exactly one of --prompt, --prompt-file, --prompt-tokens or -");
  PromptTexts out;
  if (tokens_) {
    if (chat_) throw Error(Errc::usage, "--chat needs text, not --prompt-tokens");
    out.tokens = parse_token_list(*tokens_, "--prompt-tokens");
    if (out.tokens->empty())
      throw Error(Errc::usage, "the prompt is empty; give at least one token");
    return out;
  }
  if (dash_ && *dash_ != "-")
    throw Error(Errc::usage, fmt::format("unexpected argument '{}': use --prompt TEXT, or - for "
                                         "standard input",
                                         *dash_));
  if (file_)
    out.texts = read_lines(*file_);
  else
    out.texts.push_back(prompt_ ? *prompt_ : read_stream(std::cin));
  if (out.texts.front().empty()) throw Error(Errc::usage, "the prompt is empty; give some text");
  return out;
}

std::vector<std::vector<u32>> PromptFlags::encode(const PromptTexts& prompts,
                                                  const pipeline::Engine& engine,
                                                  const std::string& date) const {
  if (prompts.tokens) return {*prompts.tokens};
  const model::Tokenizer& tokenizer = engine.tokenizer();
  std::vector<std::vector<u32>> out;
  if (!chat_) {
    for (const std::string& text : prompts.texts)
      out.push_back(tokenizer.encode(text, /*add_special_tokens=*/true));
    return out;
  }
  const model::ChatEncoder encoder =
      chat_flags_.encoder(engine.model_files().texts(), tokenizer, date);
  for (const std::string& text : prompts.texts) {
    if (const auto bad = model::find_invalid_utf8(text))
      throw Error(Errc::usage, fmt::format("the prompt is not valid UTF-8 at byte {}", *bad));
    out.push_back(encoder.encode(chat_flags_.messages(text)));
  }
  return out;
}

void SamplingFlags::add_to(CLI::App& command) {
  command.add_option("--temperature", given_.temperature, "0: greedy");
  command.add_option("--top-p", given_.top_p, "smallest set of tokens with this probability");
  command.add_option("--top-k", given_.top_k, "only the k most likely tokens (0: all)");
  command.add_option("--repetition-penalty", given_.repetition_penalty, "above 1: repeat less");
  command.add_option("--seed", given_.seed, "same seed, same answer (default: random)");
}

model::SamplingParameters SamplingFlags::resolve(const model::GenerationConfig& defaults) const {
  model::SamplingParameters p;
  if (defaults.do_sample.value_or(false)) {
    p.temperature = defaults.temperature.value_or(1);
    p.top_p = defaults.top_p.value_or(1);
    p.top_k = defaults.top_k.value_or(0);
  }
  p.repetition_penalty =
      given_.repetition_penalty.value_or(defaults.repetition_penalty.value_or(1));
  p.temperature = given_.temperature.value_or(p.temperature);
  p.top_p = given_.top_p.value_or(p.top_p);
  p.top_k = given_.top_k.value_or(p.top_k);
  if (given_.seed) {
    p.seed = *given_.seed;
  } else if (p.temperature > 0) {
    auto rng = ChaChaRng::from_system();
    p.seed = rng.below(~u64{0});
  }
  p.validate();
  return p;
}

} // namespace talaria::cli
