// Which texts grammars let through, byte by byte and token by token.
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "core/random.hpp"
#include "model/grammar/automaton.hpp"
#include "model/grammar/gbnf.hpp"
#include "model/grammar/json_schema.hpp"
#include "model/grammar/token_grammar.hpp"

using namespace talaria;
using namespace talaria::model::grammar;

BOOST_AUTO_TEST_SUITE(grammar)

namespace {

bool fits(Automaton& automaton, const std::string& text) {
  auto state = automaton.start();
  for (const char byte : text) {
    state = automaton.next(state, static_cast<u8>(byte));
    if (state == Automaton::kDead) return false;
  }
  return automaton.accepts(state);
}

struct Example {
  const char* source;
  std::vector<std::string> texts; ///< that fit
  std::vector<std::string> others;
};

const Example kSchemas[] = {
    {"true", {"1", "null", "\"a\"", "[1, {\"b\":2}]", "{}"}, {"", "nul", "[1", "1 ", "{\"a\"}"}},
    {R"({"type":"object","properties":{"a":{"type":"string"},"b":{"type":"integer"}},
         "required":["a"],"additionalProperties":false})",
     {R"({"a":"x"})", R"({"a": "x", "b": -7})", "{\n  \"a\": \"\"\n}"},
     {"{}", R"({"b":1})", R"({"a":"x","c":1})", R"({"a":"x","b":1.5})", R"({"a":1})",
      R"({"a":"x"},)", R"({"a":"x",})"}},
    {R"({"properties":{"a":{"type":"null"},"b":{"type":"null"},"c":{"type":"null"}}})",
     {"{}", R"({"a":null})", R"({"b":null,"c":null})", R"({"a":null,"c":null})"},
     {R"({"c":null,"b":null})", R"({,"b":null})", R"({"a":null "b":null})"}},
    {R"({"type":"string","minLength":2,"maxLength":3})",
     {"\"ab\"", "\"éé\"", "\"a\\n\"", "\"\\u00e9b\"", "\"日本語\""},
     {"\"a\"", "\"abcd\"", "ab", "\"\xc3\"", "\"a\nb\"", "\"\\ud800a\""}},
    {R"({"type":"string","pattern":"^[a-c]{2,}\\d?$"})",
     {"\"ab\"", "\"abc7\""},
     {"\"a\"", "\"ab77\"", "\"xab\""}},
    {R"({"type":"string","pattern":"b\"c"})", {R"("ab\"cd")", R"("b\"c")"}, {R"("bc")", "\"\""}},
    {R"({"type":"string","format":"date"})", {"\"2024-02-28\""}, {"\"2024-13-01\"", "\"24-1-1\""}},
    {R"({"type":"integer","minimum":-5,"maximum":120})",
     {"-5", "-1", "0", "9", "10", "99", "100", "120"},
     {"-6", "121", "1000", "1.5", "05", "-10", ""}},
    {R"({"type":"integer","exclusiveMinimum":17,"exclusiveMaximum":20})",
     {"18", "19"},
     {"17", "20", "1", "2"}},
    {R"({"type":"number","minimum":0,"maximum":1})",
     {"0", "1", "0.5", "0.25"},
     {"-0.5", "1.5", "2", "-1"}},
    {R"({"type":"number","minimum":-2.5,"maximum":-1})",
     {"-1", "-2", "-1.5"},
     {"-2.7", "0", "-0.5", "1", "-3"}},
    {R"({"type":"integer","minimum":1})",
     {"1", "9", "10", "999999999999999"},
     {"0", "-1", "01", "1000000000000000", "1.5"}},
    {R"({"type":"number","maximum":1.5})", {"1", "0.75", "-3.5", "-12"}, {"1.25", "1.6", "2"}},
    {R"({"exclusiveMinimum":0})",
     {"0.5", "0.00000000000001", "1", "7.25"},
     {"0", "0.0", "-0", "-1"}},
    // A double has no number between 99999999999999.99 and 10^14 that these 15 digits could name.
    {R"({"exclusiveMaximum":100000000000000})",
     {"99999999999999", "99999999999999.9", "99999999999998.999999"},
     {"100000000000000", "99999999999999.99"}},
    {R"({"exclusiveMinimum":-1,"exclusiveMaximum":1})",
     {"0", "0.5", "-0.5", "0.99999999999999"},
     {"1", "-1", "0.999999999999999", "-0.0", "1.5"}},
    {R"({"minItems":2.0,"maxItems":2.0,"items":{"const":1.0}})", {"[1.0,1.0]"}, {"[1.0]", "[1,1]"}},
    {R"({"prefixItems":[{"const":1},false,true]})", {"[]", "[1]"}, {"[1,2]", "[1,2,3]"}},
    {R"({"type":"object","maxProperties":2,"additionalProperties":{"const":0}})",
     {"{}", R"({"a":0})", R"({"a":0,"b":0})"},
     {R"({"a":0,"b":0,"c":0})"}},
    {R"({"type":"string","pattern":"^\\S.[^\\s]$"})",
     {"\"a b\"", "\"é x\""},
     {"\" bc\"", "\"ab﻿\"", "\"a c\"", "\" bc\""}},
    {R"({"type":"string","pattern":"^[à-ÿ\\u0100]\\x41\\ud83d\\udca9\\v$"})",
     {"\"éA💩\\u000b\""},
     {"\"aA💩\\u000b\"", "\"éA💩\""}},
    {R"({"type":"string","format":"duration"})",
     {"\"P3W\"", "\"P1Y2M10D\"", "\"PT1H0M9S\""},
     {"\"P\"", "\"PT\"", "\"P1Y2D\""}},
    {R"({"allOf":[{"properties":{"a":{"minimum":3}},"required":["a"]},{"properties":{"b":{"type":"null"}}}],
          "type":"object","properties":{"a":{"type":"integer","maximum":5}},"additionalProperties":false})",
     {R"({"a":3})", R"({"a":5})"},
     {R"({"a":2})", R"({"a":6})", R"({"a":3.5})", R"({"a":3,"b":null})", "{}"}},
    {R"({"$ref":"#/$defs/t","maxLength":2,"$defs":{"t":{"type":"string","minLength":1}}})",
     {"\"a\"", "\"ab\""},
     {"\"\"", "\"abc\"", "1"}},
    {R"({"type":"object","properties":{"k":{"const":1}},"required":["k"],
         "anyOf":[{"properties":{"x":{"type":"null"}},"required":["x"]},{"properties":{"k":{"const":2}}},
                  {"properties":{"y":{"type":"null"}}}]})",
     {R"({"k":1,"x":null})", R"({"k":1})", R"({"k":1,"y":null})"},
     {R"({"k":2})", R"({"x":null})"}},
    {R"({"allOf":[{"anyOf":[{"const":1},{"const":2}]},{"anyOf":[{"const":2},{"const":3}]}]})",
     {"2"},
     {"1", "3"}},
    {R"({"enum":["a","abc","b",7,{"x":1}],"pattern":"a|c","maxLength":2})",
     {"\"a\"", "7", R"({"x":1})"},
     {"\"abc\"", "\"b\""}},
    {R"({"allOf":[{"prefixItems":[{"const":1}],"items":{"const":2}},{"items":{"type":"integer"},"minItems":2}],
         "maxItems":3})",
     {"[1,2]", "[1,2,2]"},
     {"[1]", "[2,2]", "[1,1]"}},
    {R"({"properties":{"a":false}})", {"{}"}, {R"({"a":1})"}},
    {R"({"$ref":"#/$defs/a%20b~1c","$defs":{"a b/c":{"type":"null"}}})", {"null"}, {"1"}},
    {R"({"type":"array","items":{"type":"boolean"},"minItems":1,"maxItems":2})",
     {"[true]", "[true,false]", "[true, false]"},
     {"[]", "[true,true,true]", "[1]", "[true,]", "[,true]"}},
    {R"({"type":"array","items":{"type":"null"}})", {"[]", "[null,null,null]"}, {"[null null]"}},
    {R"({"type":"array","prefixItems":[{"const":1},{"const":2}],"items":false,"minItems":2})",
     {"[1,2]"},
     {"[1]", "[1,2,3]", "[]"}},
    {R"({"type":"array","prefixItems":[{"const":1}],"items":{"const":2}})",
     {"[]", "[1]", "[1,2,2]"},
     {"[2]", "[1,1]"}},
    {R"({"enum":["a",1,null,{"b":[]}]})", {"\"a\"", "1", "null", R"({"b":[]})"}, {"\"b\"", "2"}},
    {R"({"type":["string","null"]})", {"null", "\"x\""}, {"1"}},
    {R"({"anyOf":[{"type":"integer"},{"const":"x"}]})", {"3", "\"x\""}, {"\"y\""}},
    {R"({"oneOf":[{"type":"object","properties":{"t":{"const":"a"}},"required":["t"]},
                  {"type":"object","properties":{"t":{"const":"b"},"n":{"type":"integer"}},
                   "required":["t","n"]}]})",
     {R"({"t":"a"})", R"({"t":"b","n":1})"},
     {R"({"t":"b"})", R"({"t":"c"})"}},
    {R"({"type":"object","additionalProperties":{"type":"integer"}})",
     {"{}", R"({"x":1,"y":2})"},
     {R"({"x":"1"})"}},
    {R"({"$ref":"#/$defs/tree","$defs":{"tree":{"type":"object","properties":{
         "v":{"type":"integer"},"next":{"anyOf":[{"$ref":"#/$defs/tree"},{"type":"null"}]}},
         "required":["v","next"],"additionalProperties":false}}})",
     {R"({"v":1,"next":null})", R"({"v":1,"next":{"v":2,"next":null}})"},
     {R"({"v":1})", R"({"v":1,"next":{"v":2}})"}},
};

const Example kPatterns[] = {
    {"a+", {"a", "aaa"}, {"", "b", "ab"}},
    {"(yes|no)", {"yes", "no"}, {"ye", "yesno"}},
    {"^\\d{3}-[^a-z]$", {"123-A", "123-é", "000- "}, {"12-A", "123-a", "123-"}},
    {"x(?:yz)*?.", {"xa", "xyzyz!", "xé"}, {"x", "x\n"}},
    {"[\\w.]+@b", {"a.b_1@b"}, {"@b", "a-b@b"}},
    {"日{2}", {"日日"}, {"日", "日日日"}},
};

} // namespace

BOOST_AUTO_TEST_CASE(schemas_let_through_what_they_say) {
  for (const Example& example : kSchemas) BOOST_TEST_CONTEXT(example.source) {
      Automaton automaton(json_schema_rules(example.source));
      for (const auto& text : example.texts) BOOST_TEST(fits(automaton, text), text);
      for (const auto& text : example.others) BOOST_TEST(!fits(automaton, text), text);
    }
}

/// Each may be there or not, in its place: as many places in the automaton as members, and not 2 to
/// that.
BOOST_AUTO_TEST_CASE(many_members_that_may_be_missing_cost_little) {
  std::string properties;
  std::string all;
  for (int i = 0; i < 200; ++i) {
    const std::string name = "\"m" + std::to_string(i) + "\":";
    properties +=
        (i == 0 ? "" : ",") + name + R"({"type":"integer","minimum":1,"exclusiveMaximum":1000})";
    all += (i == 0 ? "" : ",") + name + std::to_string(i + 1);
  }
  Automaton automaton(json_schema_rules(R"({"type":"object","properties":{)" + properties + "}}"));
  BOOST_TEST(fits(automaton, "{" + all + "}"));
  BOOST_TEST(fits(automaton, R"({"m3":1,"m150":999})"));
  BOOST_TEST(!fits(automaton, R"({"m150":1,"m3":1})"));
  BOOST_TEST(!fits(automaton, R"({"m3":1000})"));
}

BOOST_AUTO_TEST_CASE(patterns_let_through_what_they_say) {
  for (const Example& example : kPatterns) BOOST_TEST_CONTEXT(example.source) {
      Automaton automaton(regex_rules(example.source));
      for (const auto& text : example.texts) BOOST_TEST(fits(automaton, text), text);
      for (const auto& text : example.others) BOOST_TEST(!fits(automaton, text), text);
    }
}

BOOST_AUTO_TEST_CASE(context_free_grammars_let_through_what_they_say) {
  const Example examples[] = {
      {"root ::= \"a\"", {"a"}, {"", "aa"}},
      {"# a sum\nroot ::= term (\"+\" term)*  # of terms\nterm ::= [0-9]+ | \"(\" root \")\"\n",
       {"1", "12+3", "(1+2)+3", "((7))"},
       {"", "1+", "(1", "1)", "+1"}},
      // A rule may go on in the next line.
      {"root ::= x\n  | y\nx ::= \"x\"\ny ::= \"y\"", {"x", "y"}, {"xy"}},
      {"start ::= [^a-c\\n]{2,3} .?",
       {"de", "dé日", "😀x", "dddd"},
       {"a", "d", "da", "d\nd", "dddde"}},
      {"root ::= [é-ü日] [\\x41\\u00df]", {"éA", "üß", "日A"}, {"eA", "ýA", "éB"}},
      {R"(root ::= "\"\\\t" [\]\-a]{2} "b"{0} "c"{1,})",
       {"\"\\\t]-c", "\"\\\taacc"},
       {"\"\\\taa", "\"\\\taab", "\"\\\tabc"}},
      {"root ::= (\"a\" | ) \"b\" root?", {"ab", "b", "abb", "bab"}, {"a", "", "aab"}},
  };
  for (const Example& example : examples) {
    Automaton automaton(gbnf_rules(example.source));
    BOOST_TEST_CONTEXT(example.source) {
      for (const std::string& text : example.texts) BOOST_TEST(fits(automaton, text), text);
      for (const std::string& text : example.others) BOOST_TEST(!fits(automaton, text), text);
    }
  }
}

/// Each character of a range fits, and none beside it: at the borders of UTF-8's lengths.
BOOST_AUTO_TEST_CASE(ranges_of_characters_are_exact) {
  const auto utf8 = [](u32 c) {
    std::string out;
    if (c < 0x80) return out += static_cast<char>(c);
    const int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    constexpr u32 kLead[] = {0, 0xC0, 0xE0, 0xF0};
    out += static_cast<char>(kLead[more] | (c >> (6 * more)));
    for (int i = more - 1; i >= 0; --i) out += static_cast<char>(0x80 | ((c >> (6 * i)) & 0x3F));
    return out;
  };
  const std::pair<u32, u32> ranges[] = {{0x70, 0x90},     {0x7F0, 0x810},    {0x1234, 0x5678},
                                        {0xD7F0, 0xE010}, {0xFFF0, 0x10010}, {0x10FFF0, 0x10FFFF}};
  for (const auto& [first, last] : ranges) {
    char range[32];
    std::snprintf(range, sizeof range, "\\U%08x-\\U%08x]", first, last);
    Automaton automaton(gbnf_rules(std::string("root ::= [") + range));
    Automaton others(gbnf_rules(std::string("root ::= [^") + range));
    for (u32 c = first > 0x20 ? first - 0x20 : 0; c <= last + 0x20 && c <= 0x10FFFF; ++c) {
      if (c >= 0xD800 && c <= 0xDFFF) continue;
      const bool inside = c >= first && c <= last;
      if (fits(automaton, utf8(c)) != inside || fits(others, utf8(c)) == inside)
        BOOST_ERROR(std::to_string(c) + " of " + range);
    }
  }
}

BOOST_AUTO_TEST_CASE(what_is_wrong_in_a_grammar_is_named_with_its_line) {
  const std::pair<const char*, const char*> wrong[] = {
      {"", "no rule"},
      {"a ::= \"a\"", "no rule 'root'"},
      {"root ::= b", "no rule 'b'"},
      {"root ::= \"a\"\nroot ::= \"b\"", "two rules"},
      {"root ::= \"a", "line 1"},
      {"root ::= \"a\"\n  [b", "line 2"},
      {"root ::= [b-a]", "ends before it begins"},
      {"root ::= (\"a\"", "')'"},
      {"root ::= \"a\"{2,1}", "count"},
      {"root ::= \"a\"{99999}", "count"},
      {"root ::= \"\\q\"", "'\\q'"},
      {"root ::= \"\\ud800\"", "no character"},
      {"root = \"a\"", "'::='"},
      {"root ::= \"a\" ; b", "';'"},
  };
  for (const auto& [grammar, what] : wrong)
    BOOST_CHECK_EXCEPTION(gbnf_rules(grammar), Error, [what = what](const Error& error) {
      BOOST_TEST_MESSAGE(error.what());
      return error.code() == Errc::usage &&
             std::string(error.what()).find(what) != std::string::npos;
    });
  BOOST_CHECK_THROW(Automaton(gbnf_rules("root ::= root \"a\" | \"a\"")), Error);
  BOOST_CHECK_THROW(gbnf_rules(std::string(70'000, '\n')), Error);
  std::string deep = "root ::= ";
  for (int i = 0; i < 100'000 / 2; ++i) deep += '(';
  BOOST_CHECK_THROW(gbnf_rules(deep), Error);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_honoured_is_named) {
  const auto refused = [](const char* schema, const std::string& word) {
    BOOST_CHECK_EXCEPTION(Automaton(json_schema_rules(schema)), Error, [&](const Error& error) {
      BOOST_TEST_INFO(error.what());
      return error.code() == Errc::usage &&
             std::string(error.what()).find(word) != std::string::npos;
    });
  };
  refused(R"({"type":"array","uniqueItems":true})", "uniqueItems");
  refused(R"({"type":"string","format":"iri"})", "iri");
  refused(R"({"type":"string","pattern":"(?=a)b"})", "looks around");
  refused(R"({"allOf":[{"type":"string"},{"type":"integer"}]})", "can match");
  refused(R"({"allOf":[{"unevaluatedProperties":false},{"properties":{"a":{}}}]})", "unevaluated");
  refused(R"({"enum":["a"],"pattern":5})", "wrong type");
  refused(R"({"$ref":"#/$defs/a","minLength":1,"$defs":{"a":{"$ref":"#/$defs/a","maxLength":2}}})",
          "deeply");
  refused(R"({"$ref":"http://example.org/s"})", "$ref");
  refused(R"({"$ref":"#/nothing"})", "nothing");
  refused(R"({"$ref":"#"})", "calls itself");
  // A pointer into a document with a name of its own would be looked up there.
  refused(R"({"properties":{"a":{"$id":"http://x/a","$ref":"#/$defs/b","$defs":{"b":{}}}}})",
          "$id");
  refused(R"({"$ref":"#/$defs/a/$defs/b","$defs":{"a":{"$id":"http://x/a","$defs":{"b":{}}}}})",
          "$id");
  refused(R"({"type":"integer","minimum":1e20})", "15 digits");
  refused(R"({"type":"object","properties":{"a":{},"b":{}},"maxProperties":1})", "maxProperties");
  refused(R"({"type":"string","pattern":"\\ud83d"})", "surrogate");
  refused(R"({"type":"string","maxLength":100000})", "maxLength");
  refused(R"({"type":"sting"})", "type");
  refused("false", "no");
  refused("{", "JSON");
  BOOST_CHECK_THROW(regex_rules("a(b"), Error);
  BOOST_CHECK_THROW(regex_rules("\\bx"), Error);
  BOOST_CHECK_THROW(regex_rules("[z-a]"), Error);
  BOOST_CHECK_THROW(choice_rules({}), Error);
}

namespace {

/// Tokens of one byte each, some of several, and one that ends.
std::shared_ptr<const TokenTree> small_vocabulary(u32& end) {
  std::vector<std::string> tokens;
  for (unsigned byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  for (const char* text : {"{\"", "\":", "\": \"", "\"}", "null", "true}", "ab", "abc", ", \"",
                           "12", "[[", "]]", "é", "\\u00", "ab"})
    tokens.emplace_back(text);
  end = static_cast<u32>(tokens.size());
  tokens.emplace_back();
  return std::make_shared<const TokenTree>(std::move(tokens));
}

/// A walk through a grammar that takes any allowed token; nothing if it is too long.
std::optional<std::string> walk(TokenGrammar& grammar, const TokenTree& tree, u32 end, Rng& rng) {
  auto state = grammar.start();
  std::string text;
  for (int step = 0; step < 3000; ++step) {
    std::vector<float> logits(tree.vocab(), 0);
    grammar.mask(state, logits);
    std::vector<u32> left;
    for (u32 id = 0; id < logits.size(); ++id)
      if (std::isfinite(logits[id])) left.push_back(id);
    BOOST_TEST_REQUIRE(!left.empty(), text);
    const bool may_end = left.back() == end;
    // Brackets are closed more often than opened, or few walks would end.
    u32 token = left[rng.below(left.size())];
    for (const u32 each : left)
      if ((tree.bytes(each) == "\"" || tree.bytes(each) == "}" || tree.bytes(each) == "]") &&
          rng.below(3) == 0)
        token = each;
    if (may_end && rng.below(2) == 0) token = end;
    if (token == end) return text;
    state = grammar.advance(state, token);
    text += tree.bytes(token);
  }
  return std::nullopt;
}

} // namespace

BOOST_AUTO_TEST_CASE(every_walk_through_the_tokens_is_a_text_of_the_grammar) {
  u32 end = 0;
  const auto tree = small_vocabulary(end);
  auto rng = seeded_rng(3);
  std::size_t ended = 0;
  for (const Example& example : kSchemas) BOOST_TEST_CONTEXT(example.source) {
      const Rules rules = json_schema_rules(example.source);
      Automaton automaton(rules);
      TokenGrammar grammar(rules, tree, {end});
      for (int i = 0; i < 40; ++i) {
        const auto text = walk(grammar, *tree, end, rng);
        if (!text) continue;
        ++ended;
        BOOST_TEST(fits(automaton, *text), *text);
        BOOST_TEST(nlohmann::json::accept(*text), *text);
      }
    }
  BOOST_TEST(ended > 20 * std::size(kSchemas)); // half of the walks
}

BOOST_AUTO_TEST_CASE(a_mask_leaves_exactly_the_tokens_that_go_on) {
  u32 end = 0;
  const auto tree = small_vocabulary(end);
  const Rules rules = json_schema_rules(kSchemas[1].source);
  Automaton automaton(rules);
  TokenGrammar grammar(rules, tree, {end});
  auto state = grammar.start();
  auto byte_state = automaton.start();
  for (const char byte : std::string(R"({"a": "xabé", "b": 12})")) {
    std::vector<float> logits(tree->vocab() + 3, 1); // a matrix may have more rows than tokens
    grammar.mask(state, logits);
    for (u32 id = 0; id < logits.size(); ++id) {
      bool expected = id == end && automaton.accepts(byte_state);
      if (id < tree->vocab() && !tree->bytes(id).empty()) {
        auto reached = byte_state;
        for (const char each : tree->bytes(id))
          if (reached != Automaton::kDead) reached = automaton.next(reached, static_cast<u8>(each));
        expected = reached != Automaton::kDead;
      }
      BOOST_TEST(std::isfinite(logits[id]) == expected, id);
    }
    state = grammar.advance(state, static_cast<u8>(byte));
    byte_state = automaton.next(byte_state, static_cast<u8>(byte));
  }
  BOOST_TEST(automaton.accepts(byte_state));
}

BOOST_AUTO_TEST_CASE(a_text_is_complete_when_the_tokens_run_out) {
  u32 end = 0;
  const auto tree = small_vocabulary(end);
  const Rules rules = json_schema_rules(
      R"({"type":"object","properties":{"a":{"type":"string"},"b":{"type":"array"}},
          "required":["a","b"]})"); // 15 bytes at least: {"a":"","b":[]}
  Automaton automaton(rules);
  BOOST_TEST(automaton.bytes_to_end(automaton.start()) == 15u);
  TokenGrammar grammar(rules, tree, {end});
  auto rng = seeded_rng(8);
  for (const u32 most : {16u, 17u, 25u, 60u})
    for (int i = 0; i < 50; ++i) {
      auto state = grammar.start();
      std::string text;
      bool ended = false;
      for (u32 left = most; left > 0 && !ended; --left) {
        std::vector<float> logits(tree->vocab(), 0);
        grammar.mask(state, logits, left);
        u32 token = static_cast<u32>(rng.below(logits.size()));
        while (!std::isfinite(logits[token])) token = (token + 1) % static_cast<u32>(logits.size());
        ended = token == end;
        state = grammar.advance(state, token);
        text += tree->bytes(token);
      }
      BOOST_TEST(ended, text);
      BOOST_TEST(fits(automaton, text), text);
    }
}

BOOST_AUTO_TEST_CASE(calls_of_tools_hold_what_their_schemas_say) {
  Automaton automaton(call_rules(
      {{"f", R"({"type":"object","properties":{"n":{"$ref":"#/$defs/n"}},"required":["n"],
                 "$defs":{"n":{"type":"integer"}}})"},
       {"g", R"({"type":"object","properties":{"s":{"$ref":"#/$defs/n"}},"required":["s"],
                 "$defs":{"n":{"type":"string"}}})"},
       {"h", ""}},
      "<call>", "</call>", true));
  const std::string f = R"(<call>{"name": "f", "arguments": {"n":1}}</call>)";
  const std::string g = R"(<call>{"name": "g", "arguments": {"s":"x"}}</call>)";
  const std::string h = R"(<call>{"name": "h", "arguments": {"any":[1]}}</call>)";
  for (const std::string& text : {f, g, h, f + "\n" + g + "\n" + h})
    BOOST_TEST(fits(automaton, text), text);
  for (const std::string& text :
       {std::string(R"(<call>{"name": "f", "arguments": {"n":"x"}}</call>)"),
        std::string(R"(<call>{"name": "g", "arguments": {"s":1}}</call>)"), f + g, std::string()})
    BOOST_TEST(!fits(automaton, text), text);
}

namespace {

/// Repeats a text, e.g. to write what a client may send.
std::string times(std::size_t count, const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += text;
  return out;
}

void check_refused(const std::function<void()>& read, const std::string& word) {
  BOOST_CHECK_EXCEPTION(read(), Error, [&](const Error& error) {
    BOOST_TEST(std::string(error.what()).find(word) != std::string::npos, error.what());
    return error.code() == Errc::usage;
  });
}

} // namespace

/// Expressions were gone through by recursion, and end by one: 60 KB of question marks
/// ended the process.
BOOST_AUTO_TEST_CASE(no_grammar_is_too_deep_for_the_stack) {
  const std::string marks = times(60'000, "?");
  check_refused([&] { Automaton(gbnf_rules("root ::= \"a\"" + marks)); }, "nested");
  check_refused([&] { Automaton(regex_rules("a" + marks)); }, "nested");
  check_refused(
      [&] { Automaton(json_schema_rules(R"({"type":"string","pattern":"a)" + marks + "\"}")); },
      "nested");
  // The longest lists, one behind the other's last place.
  const std::string trues = times(4090, "true,");
  std::string schema = R"({"type":"null"})";
  for (int i = 0; i < 3; ++i)
    schema = R"({"type":"array","items":false,"prefixItems":[)" + trues + schema + "]}";
  check_refused([&] { Automaton(json_schema_rules(schema)); }, "nested");
  Automaton longest(
      json_schema_rules(R"({"type":"array","items":{"type":"null"},"maxItems":4096})"));
  BOOST_TEST(fits(longest, "[null,null]"));
}

/// None of these had an end that anybody would have seen.
BOOST_AUTO_TEST_CASE(nothing_is_repeated_that_is_not_there) {
  for (const std::string& empty : {std::string("\"\""), std::string("(\"\" (\"\" \"\"))"),
                                   std::string("\"a\"{0}"), std::string("()")}) {
    Automaton automaton(gbnf_rules("root ::= " + empty + times(8, "{4096}")));
    BOOST_TEST(fits(automaton, ""), empty);
    BOOST_TEST(!fits(automaton, "a"), empty);
  }
  Automaton beside(gbnf_rules("root ::= ((" + times(10'000, "\"\" ") + "\"a\"){4}){2}"));
  BOOST_TEST(fits(beside, "aaaaaaaa"));
  BOOST_TEST(!fits(beside, "aaaaaaa"));
  Automaton pattern(regex_rules("(?:(?:){4000}){4000}" + times(4, "{4000}") + "b"));
  BOOST_TEST(fits(pattern, "b"));
}

/// Of each state, all ways that lead to one place are one; there were as many as pairs of
/// alternatives, each found by going through all of them.
BOOST_AUTO_TEST_CASE(equal_alternatives_are_followed_once) {
  Automaton automaton(gbnf_rules("root ::= ([a-z]" + times(10'000, "|[a-z]") + ")*"));
  BOOST_TEST(fits(automaton, "abcdefghijklmnopqrstuvwxyz"));
  BOOST_TEST(!fits(automaton, "abC"));
}

BOOST_AUTO_TEST_CASE(what_takes_too_much_time_or_memory_is_refused) {
  check_refused([] { regex_rules(times(70'000, ".")); }, "longer");
  check_refused([] { choice_rules({"a", times(600'000, "b")}); }, "longer");
  std::string chain = "root ::= r1\n";
  for (int i = 1; i < 3000; ++i)
    chain += "r" + std::to_string(i) + " ::= r" + std::to_string(i + 1) + "\n";
  check_refused([&] { Automaton(gbnf_rules(chain + "r3000 ::= " + times(100, "\"c\"{4000}"))); },
                "too large");
  // Each of 4000 states knows some 4000 places where it may be.
  Automaton states(regex_rules("(?:a?){4000}"));
  const auto walk = [&] {
    auto state = states.start();
    for (int i = 0; i < 4000; ++i) state = states.next(state, 'a');
  };
  check_refused(walk, "too large");
}

/// Clients are told in JSON, which takes no half of a character.
BOOST_AUTO_TEST_CASE(messages_quote_whole_characters) {
  const auto told = [](const std::function<Rules()>& read) {
    try {
      read();
    } catch (const Error& error) {
      return nlohmann::json(error.what()).dump();
    }
    return std::string();
  };
  BOOST_TEST(told([] { return gbnf_rules("é ::= \"a\""); }).find("'é'") != std::string::npos);
  BOOST_TEST(told([] { return gbnf_rules("root ::= \"\\é\""); }).find("\\\\é") !=
             std::string::npos);
  BOOST_TEST(told([] { return gbnf_rules("root ::= \"\\"); }).find("line 1") != std::string::npos);
  BOOST_TEST(told([] { return regex_rules("a\\é"); }).find("backslash") != std::string::npos);
}

/// Values times schemas that they are held to, both of a client's choice.
BOOST_AUTO_TEST_CASE(many_values_are_held_to_few_schemas) {
  std::string values = "\"v0\"";
  for (int i = 1; i < 4000; ++i) values += ",\"v" + std::to_string(i) + "\"";
  const std::string listed = R"({"enum":[)" + values + "]";
  Automaton plain(json_schema_rules(listed + "}"));
  BOOST_TEST(fits(plain, "\"v3999\""));
  BOOST_TEST(!fits(plain, "\"v4000\""));
  Automaton some(json_schema_rules(listed + R"(,"type":"string","pattern":"v[0-9]7$"})"));
  BOOST_TEST(fits(some, "\"v17\""));
  BOOST_TEST(!fits(some, "\"v18\""));
  const std::string reference = R"({"$ref":"#/$defs/a"})";
  check_refused(
      [&] {
        json_schema_rules(listed + R"(,"allOf":[)" + times(99, reference + ",") + reference +
                          R"(],"$defs":{"a":{"type":"string"}}})");
      },
      "so much else");
}

BOOST_AUTO_TEST_SUITE_END()
