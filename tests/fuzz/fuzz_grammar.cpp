// Any bytes as the form that a request gives its answer; the first byte says in which language.
// Either an Error{usage}, or a grammar whose shortest text can be found byte by byte and token by
// token.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "model/grammar/gbnf.hpp"
#include "model/grammar/json_schema.hpp"
#include "model/grammar/token_grammar.hpp"
#include "model/tokenizer.hpp"

namespace {

using namespace talaria;
using namespace talaria::model::grammar;

constexpr std::size_t kLongestText = 512;

enum Language : u8 { schema, regex, gbnf, choice, calls, kLanguages };

void require(bool kept) {
  if (!kept) std::abort();
}

Rules rules_of(u8 language, const std::string& text) {
  switch (language) {
  case schema:
    return json_schema_rules(text);
  case regex:
    return regex_rules(text);
  case gbnf:
    return gbnf_rules(text);
  case choice:
    return choice_rules({text, "no"});
  default:
    return call_rules({{"f", text}, {"g", ""}}, "<tool_call>\n", "\n</tool_call>", true);
  }
}

/// As far as it has one of at most kLongestText bytes; otherwise the beginning of such a text.
std::string shortest_text(Automaton& automaton) {
  std::string text;
  auto state = automaton.start();
  while (!automaton.accepts(state) && text.size() < kLongestText) {
    const u32 needed = automaton.bytes_to_end(state);
    if (needed >= Automaton::kNoEnd) return text; // rules that never end
    unsigned byte = 0;
    auto next = Automaton::kDead;
    for (; byte < 256; ++byte) {
      next = automaton.next(state, static_cast<u8>(byte));
      if (next != Automaton::kDead && automaton.bytes_to_end(next) + 1 == needed) break;
    }
    require(byte < 256);
    text += static_cast<char>(byte);
    state = next;
  }
  require(!automaton.accepts(state) || automaton.bytes_to_end(state) == 0);
  return text;
}

bool fits(Automaton& automaton, const std::string& text) {
  auto state = automaton.start();
  for (const char byte : text) {
    state = automaton.next(state, static_cast<u8>(byte));
    if (state == Automaton::kDead) return false;
  }
  return automaton.accepts(state);
}

/// Every byte is a token, so that where a text goes on, some token does.
void follow_tokens(const Rules& rules, const std::string& text) {
  static const auto tree = [] {
    std::vector<std::string> bytes(256);
    for (std::size_t i = 0; i < 256; ++i) bytes[i] = std::string(1, static_cast<char>(i));
    for (const char* longer : {"{\"", "\":", "true", "  ", "\n\n\n\n", "ab", "</tool_call>"})
      bytes.emplace_back(longer);
    return std::make_shared<const TokenTree>(std::move(bytes));
  }();
  const auto end = static_cast<u32>(tree->vocab());
  TokenGrammar grammar(rules, tree, {end});
  auto state = grammar.start();
  for (std::size_t i = 0; i < std::min<std::size_t>(text.size(), 16); ++i) {
    std::vector<float> logits(end + 1, 0.0f);
    grammar.mask(state, logits, static_cast<u32>(text.size() - i) + 2);
    const auto token = static_cast<u8>(text[i]);
    require(logits[token] == 0.0f);
    state = grammar.advance(state, token);
  }
}

void follow(u8 language, const std::string& source) {
  const Rules rules = rules_of(language, source);
  Automaton automaton(rules);
  const std::string text = shortest_text(automaton);
  const bool is_whole = fits(automaton, text);
  fits(automaton, source); // wherever it leads
  if (is_whole && (language == schema || language == calls)) {
    const auto begin = language == calls ? text.find('{') : 0;
    const auto size = language == calls ? text.rfind('}') + 1 - begin : text.size();
    require(nlohmann::json::accept(text.substr(begin, size)));
  }
  if (is_whole && language == choice) require(text == source || text == "no");
  if (is_whole) follow_tokens(rules, text);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string source(reinterpret_cast<const char*>(data) + 1, size - 1);
  // What comes from clients has been read as JSON, whose texts are UTF-8.
  if (model::find_invalid_utf8(source)) return 0;
  try {
    follow(data[0] % kLanguages, source);
  } catch (const Error& error) {
    if (error.code() != Errc::usage) std::abort();
    if (model::find_invalid_utf8(error.what())) std::abort(); // the client is told, in JSON
  }
  return 0;
}
