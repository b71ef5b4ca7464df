// Keywords that a grammar honours by more than a form of their own: multiples, patterns of names,
// what lists contain, negations and conditions. What fits is held to arithmetic and to lists of
// values; scripts/test clients has ajv judge the same.
#include <boost/test/unit_test.hpp>

#include <cmath>
#include <set>

#include "core/error.hpp"
#include "model/grammar/automaton.hpp"
#include "model/grammar/json_schema.hpp"

using namespace talaria;
using namespace talaria::model::grammar;

BOOST_AUTO_TEST_SUITE(schema_keywords)

namespace {

bool lets_through(Automaton& automaton, const std::string& text) {
  auto state = automaton.start();
  for (const char byte : text) {
    state = automaton.next(state, static_cast<u8>(byte));
    if (state == Automaton::kDead) return false;
  }
  return automaton.accepts(state);
}

Automaton automaton_of(const std::string& schema) {
  return Automaton(json_schema_rules(schema));
}

struct KeywordExample {
  const char* schema;
  std::vector<const char*> texts; ///< that fit
  std::vector<const char*> others;
};

const KeywordExample kExamples[] = {
    // multipleOf
    {R"({"type":"number","multipleOf":0.5,"minimum":-1,"maximum":3})",
     {"-1", "-0.5", "0", "2.5", "3", "1.0"},
     {"0.25", "3.5", "-1.5", "0.55"}},
    {R"({"type":"number","multipleOf":0.1,"minimum":0,"maximum":1})",
     {"0", "0.1", "0.5", "1.0"},
     {"0.3", "0.15", "1.1"}}, // 0.3 / 0.1 is no whole double
    {R"({"allOf":[{"multipleOf":4},{"multipleOf":6}],"type":"integer"})",
     {"0", "12", "-24"},
     {"4", "6", "18"}},
    {R"({"type":"integer","multipleOf":1000,"minimum":1500,"maximum":4000})",
     {"2000", "3000", "4000"},
     {"1000", "0", "5000", "2500"}},
    // Lengths and formats beside patterns
    {R"({"type":"string","pattern":"^[a-z]+$","minLength":2,"maxLength":3})",
     {R"("ab")", R"("abc")"},
     {R"("a")", R"("abcd")", R"("a1")"}},
    {R"({"type":"string","format":"hostname","maxLength":3})",
     {R"("a.b")", R"("abc")"},
     {R"("abcd")", R"("a.bc")"}},
    {R"({"type":"string","pattern":"\"","maxLength":2})", {R"("\"a")"}, {R"("\"ab")", R"("ab")"}},
    {R"({"allOf":[{"pattern":"a"},{"pattern":"b"},{"pattern":"^.{2}$"}],"type":"string"})",
     {R"("ab")", R"("ba")"},
     {R"("aa")", R"("b")", R"("aba")"}},
    // patternProperties
    {R"({"type":"object","patternProperties":{"^x-":{"type":"integer"}},"additionalProperties":false})",
     {"{}", R"({"x-a":1})", R"({"x-a":1,"x-":2})"},
     {R"({"y":1})", R"({"x-a":"1"})", R"({"x":1})"}},
    {R"({"properties":{"id":{"type":"integer"}},"required":["id"],"patternProperties":{"d$":{"maximum":9}}})",
     {R"({"id":3})", R"({"id":3,"bad":1})"},
     {R"({"id":10})", R"({"id":3,"id":4})", R"({"bad":1})"}},
    {R"({"patternProperties":{"a":{"type":"integer"},"b":{"minimum":5,"type":"integer"}}})",
     {R"({"a":1})", R"({"b":5})", R"({"ab":7,"a":0})"},
     {R"({"b":4})", R"({"ab":4})"}},
    {R"({"properties":{"a":{"type":"null"}},"additionalProperties":{"type":"integer"}})",
     {R"({"a":null,"b":1})", R"({"b":1,"c":2})", "{}"},
     {R"({"a":1})", R"({"b":null})", R"({"a":null,"a":1})"}},
    {R"({"type":"object","minProperties":2,"properties":{"a":{"type":"null"},"b":{"type":"null"},"c":{"type":"null"}}})",
     {R"({"a":null,"c":null})", R"({"a":null,"b":null,"c":null})"},
     {"{}", R"({"b":null})"}},
    {R"({"dependentRequired":{"a":["b"]},"properties":{"a":{"type":"null"},"b":{"type":"null"}}})",
     {"{}", R"({"b":null})", R"({"a":null,"b":null})"},
     {R"({"a":null})"}},
    // contains
    {R"({"type":"array","items":{"type":"integer"},"contains":{"minimum":5},"minContains":2})",
     {"[5,6]", "[1,5,2,9]"},
     {"[]", "[5]", "[1,2,5]"}},
    {R"({"type":"array","items":{"enum":[1,2]},"contains":{"const":2},"maxContains":1,"maxItems":3})",
     {"[2]", "[1,2,1]"},
     {"[1]", "[2,2]", "[]", "[1,2,1,1]"}},
    {R"({"type":"array","items":{"enum":[1,2]},"contains":{"const":2},"minContains":0,"maxContains":1})",
     {"[]", "[1,1]", "[1,2]"},
     {"[2,2]"}},
    {R"({"prefixItems":[{"const":1}],"items":{"type":"boolean"},"contains":{"const":true}})",
     {"[1,true]", "[1,false,true,false]"},
     {"[1]", "[true]", "[1,false]"}},
    // uniqueItems
    {R"({"type":"array","items":{"type":["boolean","null"]},"uniqueItems":true,"minItems":2})",
     {"[true,null]", "[null,false,true]"},
     {"[null]", "[true,true]", "[null,true,null]"}},
    {R"({"type":"array","prefixItems":[{"type":"string"},{"type":"integer"}],"items":false,"uniqueItems":true})",
     {R"(["a",1])", "[]"},
     {R"(["a","a"])"}},
    {R"({"type":"array","items":{"enum":[1,2,3,4,5,6,7,8,9,10]},"uniqueItems":true,"minItems":2,"maxItems":3})",
     {"[1,2]", "[2,5,10]"}, // of many, in their order
     {"[1]", "[1,1]", "[1,2,3,4]", "[2,1]"}},
    // not
    {R"({"type":"string","not":{"enum":["a","b\n"]}})",
     {R"("b")", R"("")", R"("aa")"},
     {R"("a")", R"("b\n")", R"("\u0061")"}},
    {R"({"type":"integer","minimum":0,"maximum":12,"not":{"enum":[1,10]}})",
     {"0", "2", "11", "12"},
     {"1", "10", "13"}},
    {R"({"type":"number","not":{"const":1.5}})",
     {"1", "1.51", "-1.5", "15"},
     {"1.5", "1.50", "15e-1"}},
    {R"({"not":{"type":["object","array","string","number"]}})",
     {"true", "null"},
     {"1", "{}", "\"\""}},
    {R"({"type":"string","not":{"pattern":"^x"}})", {R"("")", R"("ax")"}, {R"("x")", R"("xa")"}},
    {R"({"type":"object","properties":{"a":{"type":"null"},"b":{"type":"null"}},"not":{"required":["a","b"]}})",
     {"{}", R"({"a":null})", R"({"b":null})"},
     {R"({"a":null,"b":null})"}},
    {R"({"type":"integer","not":{"minimum":3,"maximum":5}})", {"2", "6"}, {"3", "4", "5"}},
    {R"({"enum":[1,{"a":1,"b":2},[3]],"not":{"enum":[{"b":2,"a":1.0}]}})",
     {"1", "[3]"},
     {R"({"a":1,"b":2})"}},
    // if, then, else
    {R"({"type":"object","properties":{"kind":{"enum":["card","cash"]},"number":{"type":"integer"}},
         "required":["kind"],
         "if":{"properties":{"kind":{"const":"card"}}},"then":{"required":["number"]},
         "else":{"properties":{"number":false}}})",
     {R"({"kind":"card","number":1})", R"({"kind":"cash"})"},
     {R"({"kind":"card"})", R"({"kind":"cash","number":1})", "{}"}},
    {R"({"type":"object","properties":{"c":{"enum":["US","NL"]},"z":{"type":"string"}},"required":["c","z"],
         "allOf":[{"if":{"properties":{"c":{"const":"US"}}},"then":{"properties":{"z":{"pattern":"^\\d{5}$"}}}},
                  {"if":{"properties":{"c":{"const":"NL"}}},"then":{"properties":{"z":{"pattern":"^\\d{4}$"}}}}]})",
     {R"({"c":"US","z":"12345"})", R"({"c":"NL","z":"1234"})"},
     {R"({"c":"US","z":"1234"})", R"({"c":"NL","z":"12345"})"}},
    // oneOf
    {R"({"oneOf":[{"type":"integer","minimum":5},{"type":"integer","maximum":7}]})",
     {"4", "8", "-3"},
     {"5", "6", "7"}},
    {R"({"oneOf":[{"type":"object","properties":{"a":{"type":"null"}},"required":["a"],"additionalProperties":false},
                  {"type":"object","properties":{"b":{"type":"null"}},"required":["b"],"additionalProperties":false}]})",
     {R"({"a":null})", R"({"b":null})"},
     {R"({"a":null,"b":null})", "{}"}},
    {R"({"oneOf":[{"enum":[1,"a"]},{"type":"string","maxLength":3}]})",
     {"1", R"("b")", R"("abc")"},
     {R"("a")", R"("abcd")"}},
    {R"({"$defs":{"t":{"properties":{"k":{"const":"t"}},"required":["k"],"type":"object"}},
         "oneOf":[{"$ref":"#/$defs/t"},{"type":"object","properties":{"k":{"enum":["u","v"]}},"required":["k"]}]})",
     {R"({"k":"t"})", R"({"k":"v"})"},
     {R"({"k":"w"})"}},
};

} // namespace

BOOST_AUTO_TEST_CASE(schemas_with_these_keywords_let_through_what_they_say) {
  for (const KeywordExample& example : kExamples) BOOST_TEST_CONTEXT(example.schema) {
      Automaton automaton = automaton_of(example.schema);
      for (const char* text : example.texts) BOOST_TEST(lets_through(automaton, text), text);
      for (const char* text : example.others) BOOST_TEST(!lets_through(automaton, text), text);
    }
}

/// Every integer around 0 fits if it is a multiple between the bounds, and no other.
BOOST_AUTO_TEST_CASE(multiples_are_those_of_arithmetic) {
  const auto holds = [](int divisor, int low, int high) {
    Automaton automaton = automaton_of(
        R"({"type":"integer","multipleOf":)" + std::to_string(divisor) + R"(,"minimum":)" +
        std::to_string(low) + R"(,"exclusiveMaximum":)" + std::to_string(high) + "}");
    for (int value = -1300; value <= 1300; ++value)
      if (lets_through(automaton, std::to_string(value)) !=
          (value % divisor == 0 && value >= low && value < high))
        BOOST_ERROR(std::to_string(value) + " of " + std::to_string(divisor));
    BOOST_TEST(!lets_through(automaton, "-0"));
    BOOST_TEST(!lets_through(automaton, "012"));
  };
  for (const int divisor : {2, 3, 7, 10, 12, 17, 50, 250}) holds(divisor, -1111, 1234);
  holds(7, 8, 1000);
  holds(6, -50, -11);
  Automaton unbounded = automaton_of(R"({"type":"number","multipleOf":97})");
  BOOST_TEST(lets_through(unbounded, std::to_string(97LL * 1'000'000'007LL)));
  BOOST_TEST(!lets_through(unbounded, std::to_string(97LL * 1'000'000'007LL + 1)));
}

/// All lists of three values with up to four places.
BOOST_AUTO_TEST_CASE(unique_items_are_exactly_those_without_a_repetition) {
  Automaton automaton = automaton_of(
      R"({"type":"array","items":{"enum":["a",true,7]},"uniqueItems":true,"minItems":1})");
  const char* values[] = {"\"a\"", "true", "7"};
  for (int length = 0; length <= 4; ++length)
    for (int code = 0; code < std::pow(3, length); ++code) {
      std::string text = "[";
      std::set<int> used;
      for (int place = 0, rest = code; place < length; ++place, rest /= 3) {
        text += (place == 0 ? "" : ",") + std::string(values[rest % 3]);
        used.insert(rest % 3);
      }
      text += "]";
      const bool expected = length > 0 && used.size() == static_cast<std::size_t>(length);
      BOOST_TEST(lets_through(automaton, text) == expected, text);
    }
}

/// From each state that texts of the grammar reach, an end can be reached.
BOOST_AUTO_TEST_CASE(no_text_leads_to_where_no_end_is) {
  for (const KeywordExample& example : kExamples) BOOST_TEST_CONTEXT(example.schema) {
      Automaton automaton = automaton_of(example.schema);
      for (const char* text : example.texts) {
        auto state = automaton.start();
        for (const char* at = text; *at != 0; ++at) {
          for (unsigned byte = 0; byte < 256; ++byte) {
            const auto beside = automaton.next(state, static_cast<u8>(byte));
            if (beside != Automaton::kDead && automaton.bytes_to_end(beside) >= Automaton::kNoEnd)
              BOOST_ERROR(std::string(text, at) + " and byte " + std::to_string(byte));
          }
          state = automaton.next(state, static_cast<u8>(*at));
        }
      }
    }
}

BOOST_AUTO_TEST_CASE(what_is_left_is_refused_by_its_keyword) {
  const std::pair<const char*, const char*> refused[] = {
      {R"({"type":"number","multipleOf":0.01})", "multipleOf 0.01"},
      {R"({"type":"integer","multipleOf":257})", "multipleOf 257"},
      {R"({"type":"number","multipleOf":0})", "multipleOf"},
      {R"({"allOf":[{"multipleOf":0.5},{"multipleOf":0.2}],"type":"number"})", "multipleOf twice"},
      {R"({"type":"array","uniqueItems":true})", "uniqueItems"},
      {R"({"type":"array","uniqueItems":true,"items":{"type":"string"}})", "uniqueItems"},
      {R"({"type":"array","uniqueItems":true,"items":{"type":"boolean"},"contains":{"const":true}})",
       "contains beside uniqueItems"},
      {R"({"type":"array","contains":{"uniqueItems":true},"maxContains":2})",
       "not around uniqueItems"},
      {R"({"type":"array","contains":{},"minContains":40})", "contains"},
      {R"({"not":{"multipleOf":3}})", "not around multipleOf"},
      {R"({"not":{"const":{"a":1}},"type":"object"})", "constant"},
      {R"({"if":{"additionalProperties":{"type":"string"}},"then":{"required":["a"]}})", "if"},
      {R"({"oneOf":[{"format":"date"},{"type":"string","format":"time"}]})", "oneOf"},
      {R"x({"patternProperties":{"(?=a)":{}}})x", "looks around"},
      {R"({"patternProperties":{"a":{},"b":{},"c":{},"d":{},"e":{},"f":{},"g":{}}})", "patterns"},
      {R"({"propertyNames":{"pattern":"a"}})", "propertyNames"},
      {R"({"not":{"$ref":"#"}})", "calls itself"},
      {R"({"type":"object","required":["a"],"patternProperties":{"a":false}})", "match"},
      {R"({"type":"string","enum":["a"],"not":{"const":"a"}})", "no value"},
      {R"({"type":"boolean","not":{"enum":[true,false]}})", "no value"},
  };
  for (const auto& [schema, word] : refused) BOOST_TEST_CONTEXT(schema)
  BOOST_CHECK_EXCEPTION(Automaton(json_schema_rules(schema)), Error, [&](const Error& error) {
    BOOST_TEST_INFO(error.what());
    return error.code() == Errc::usage && std::string(error.what()).find(word) != std::string::npos;
  });
}

BOOST_AUTO_TEST_SUITE_END()
