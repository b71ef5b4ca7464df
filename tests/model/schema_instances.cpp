// Writes texts that the grammar of each schema of a test suite lets through, for a validator that
// is not ours (tests/clients/schemas.mjs):
//
//   schema_instances COUNT SEED FILE...
//
// FILE holds, as those of the JSON Schema test suite, a list of {"description", "schema", "tests"}.
// Each schema becomes one line {"file", "index", "refused": WHY} or {"file", "index", "instances":
// [TEXT, ...]}, COUNT texts that random tokens made.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "model/grammar/automaton.hpp"
#include "model/grammar/json_schema.hpp"
#include "model/grammar/token_grammar.hpp"

namespace {

using namespace talaria;
using namespace talaria::model::grammar;
using Json = nlohmann::ordered_json; // 1.0 stays 1.0

constexpr u32 kMostTokens = 80; // beyond those that the shortest text needs

/// All bytes, and what real vocabularies have of JSON, so that tokens cross the borders of values.
std::shared_ptr<const TokenTree> vocabulary(u32& end) {
  std::vector<std::string> tokens;
  for (unsigned byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  for (const char* text :
       {"{\"",   "\":", "\": \"",   "\"}",  "\"]",      "null",         "true",
        "false", "ab",  "foo",      "bar",  ", \"",     "\",\"",        "12",
        "1.0",   "0.5", ".0",       "-1",   "e1",       "E-2",          "[[",
        "]]",    "},{", "{}",       "[]",   "é",        "日本",         "💩",
        "\\u00", "\\n", "\\\"",     "\n  ", "\xC2\xA0", "\xE2\x80\xA8", "\xEF\xBB\xBF",
        "00",    "99",  "__proto__"})
    tokens.emplace_back(text);
  end = static_cast<u32>(tokens.size());
  tokens.emplace_back();
  return std::make_shared<const TokenTree>(std::move(tokens));
}

class Writer {
public:
  explicit Writer(u64 seed) : random_(seed), tree_(vocabulary(end_)) {}

  std::vector<std::string> texts(const std::string& schema, std::size_t count) {
    const Rules rules = json_schema_rules(schema);
    const Automaton automaton(rules);
    const u32 least = automaton.bytes_to_end(automaton.start());
    if (least >= Automaton::kNoEnd)
      throw Error(Errc::usage, "the schema has no value of finite length");
    TokenGrammar grammar(rules, tree_, {end_});
    std::vector<std::string> out;
    for (std::size_t i = 0; i < count; ++i)
      out.push_back(text(grammar, least + 1 + below(kMostTokens)));
    return out;
  }

private:
  u32 below(u32 bound) { return std::uniform_int_distribution<u32>(0, bound - 1)(random_); }

  std::string text(TokenGrammar& grammar, u32 most) {
    auto state = grammar.start();
    std::string out;
    for (u32 left = most; left > 0; --left) {
      std::vector<float> logits(tree_->vocab(), 0);
      grammar.mask(state, logits, left);
      std::vector<u32> open;
      for (u32 id = 0; id < logits.size(); ++id)
        if (std::isfinite(logits[id])) open.push_back(id);
      if (open.empty()) throw Error(Errc::internal, "nothing may come behind " + out);
      const u32 token = chosen(open);
      if (token == end_) return out;
      state = grammar.advance(state, token);
      out += tree_->bytes(token);
    }
    return out; // complete, though no end was drawn
  }

  /// Any; those that are no bytes of characters beyond ASCII more often than their number would
  /// have it.
  u32 chosen(const std::vector<u32>& open) {
    for (int i = 0;; ++i) {
      const u32 token = open[below(static_cast<u32>(open.size()))];
      const bool is_beyond = token >= 0x80 && token < 0x100;
      if (!is_beyond || i == 3) return token;
    }
  }

  std::mt19937_64 random_;
  u32 end_ = 0;
  std::shared_ptr<const TokenTree> tree_;
};

Json answer_to(const Json& schema, std::size_t count, Writer& writer) {
  try {
    return {{"instances", writer.texts(schema.dump(), count)}};
  } catch (const Error& error) {
    if (error.code() != Errc::usage) throw;
    return {{"refused", error.what()}};
  }
}

} // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fputs("usage: schema_instances COUNT SEED FILE...\n", stderr);
    return 2;
  }
  try {
    Writer writer(std::stoull(argv[2]));
    for (int i = 3; i < argc; ++i) {
      std::ifstream in(argv[i]);
      const Json cases = Json::parse(in);
      for (std::size_t c = 0; c < cases.size(); ++c) {
        Json line{{"file", argv[i]}, {"index", c}};
        line.update(answer_to(cases[c].at("schema"), std::stoul(argv[1]), writer));
        std::cout << line.dump() << '\n';
      }
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "schema_instances: %s\n", error.what());
    return 1;
  }
  return 0;
}
