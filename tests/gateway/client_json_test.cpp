// What a client's JSON may cost, whatever it means.
#include "gateway/client_json.hpp"

#include <boost/test/unit_test.hpp>
#include <future>
#include <optional>
#include <string>

#include "gateway/api_error.hpp"
#include "gateway/api_request.hpp"

namespace talaria::tests {

using gateway::ApiError;
using gateway::ByteBudget;
using gateway::parse_client_json;
using nlohmann::json;

namespace {

std::string nested(std::size_t depth, const std::string& open, const std::string& close,
                   const std::string& inside = "") {
  std::string text;
  for (std::size_t i = 0; i < depth; ++i) text += open;
  text += inside;
  for (std::size_t i = 0; i < depth; ++i) text += close;
  return text;
}

/// What the client is told; empty if the text is taken.
std::string refusal(const std::string& text) {
  try {
    parse_client_json(text, nullptr);
  } catch (const ApiError& error) {
    BOOST_TEST(error.status() == 400);
    return error.what();
  }
  return {};
}

std::string repeated(const std::string& text, std::size_t times) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i) out += text;
  return out;
}

} // namespace

BOOST_AUTO_TEST_SUITE(client_json)

BOOST_AUTO_TEST_CASE(what_is_read_is_what_nlohmann_reads) {
  for (const char* text :
       {R"({"a":[1,-2,3.5,true,false,null,"x\n\u00e9"],"b":{"c":{},"d":[]},"":""})", "[]", "{}",
        "7", "\"text\"", "null", R"([[[1],[2,[3]]],{"a":[{"b":[4]}]}])",
        R"(  [ 18446744073709551615 ] )"})
    BOOST_TEST(parse_client_json(text, nullptr).value == json::parse(text));
}

BOOST_AUTO_TEST_CASE(sixty_four_levels_are_read_and_no_more) {
  BOOST_TEST(refusal(nested(64, "[", "]")).empty());
  BOOST_TEST(refusal(nested(64, R"({"a":)", "}", "1")).empty());
  for (const std::size_t depth : {65u, 1000u, 200'000u, 2'000'000u}) {
    BOOST_TEST(refusal(nested(depth, "[", "]")) == "the body is nested more than 64 deep");
    BOOST_TEST(refusal(nested(depth, "[", "")) == "the body is nested more than 64 deep");
    BOOST_TEST(refusal(nested(depth, R"({"a":)", "}", "1")) ==
               "the body is nested more than 64 deep");
    BOOST_TEST(refusal(nested(depth, R"([{"a":)", "}]", "1")) ==
               "the body is nested more than 64 deep");
  }
}

// Wherever it stands: each reader of a field once had a copy of its own to make.
BOOST_AUTO_TEST_CASE(a_deep_value_is_harmless_in_every_field) {
  const std::string deep = nested(200'000, "[", "]");
  const gateway::ApiDefaults defaults{"m", {}, 4};
  for (const char* field : {"stop", "prompt", "model", "stream_options", "logit_bias", "n", "seed",
                            "suffix", "response_format", "unknown", "top_k", "echo"})
    BOOST_CHECK_THROW(gateway::parse_completion_request("{\"prompt\":\"a\",\"" +
                                                            std::string(field) + "\":" + deep + "}",
                                                        defaults),
                      ApiError);
  for (const std::string& content :
       {"[{\"type\":" + deep + ",\"text\":\"x\"}]", "[{\"type\":\"text\",\"text\":" + deep + "}]",
        deep, "[" + deep + "]"})
    BOOST_CHECK_THROW(
        gateway::parse_chat_request(
            "{\"messages\":[{\"role\":\"user\",\"content\":" + content + "}]}", defaults),
        ApiError);
}

BOOST_AUTO_TEST_CASE(a_text_may_not_need_much_more_memory_than_it_has_bytes) {
  for (const char* item : {"{},", "[],", "[[]],", "[1],", R"({"":0},)", R"({"a":{}},)"})
    BOOST_TEST(refusal("[" + repeated(item, 100'000) + "0]") ==
               "the body has too many values for its length; split the request");
  // What clients send: token ids, messages, text.
  BOOST_TEST(refusal("[" + repeated("17,", 1'000'000) + "0]").empty());
  BOOST_TEST(refusal("[" + repeated(R"({"role":"user","content":"a"},)", 100'000) + "0]").empty());
  BOOST_TEST(refusal("[" + repeated("5,", 1'000'000) + "0]").empty());
  BOOST_TEST(refusal("\"" + std::string(4'000'000, 'x') + "\"").empty());
  BOOST_TEST(refusal("[" + repeated("[1],", 256) + "[1]]").empty());
}

BOOST_AUTO_TEST_CASE(a_name_stands_once_in_an_object) {
  BOOST_TEST(refusal(R"({"a":1,"b":{"a":1}})").empty());
  BOOST_TEST(refusal(R"({"a":1,"a":2})") == "'a' stands twice in one object");
  BOOST_TEST(refusal(R"([{"x":{"b":1,"c":2,"b":[]}}])") == "'b' stands twice in one object");
  BOOST_TEST(refusal(R"({"a":1,"\u0061":2})") == "'a' stands twice in one object");
}

BOOST_AUTO_TEST_CASE(a_name_is_not_a_way_to_long_messages) {
  BOOST_TEST(refusal("{\"" + std::string(1024, 'k') + "\":1}").empty());
  BOOST_TEST(refusal("{\"" + std::string(1025, 'k') + "\":1}") ==
             "a name in the body is longer than 1024 bytes");
}

BOOST_AUTO_TEST_CASE(what_is_not_json_is_refused_with_its_place) {
  BOOST_TEST(refusal("{\"a\":1,}") == "the body is not valid JSON in UTF-8, at byte 8");
  BOOST_TEST(refusal("[1] 2") == "the body is not valid JSON in UTF-8, at byte 5");
  BOOST_TEST(refusal("").starts_with("the body is not valid JSON in UTF-8"));
  BOOST_TEST(refusal("[1e999]") == "the body holds a number that is out of range");
  BOOST_TEST(refusal("\"\xff\"").starts_with("the body is not valid JSON in UTF-8"));
  BOOST_TEST(refusal(R"("\ud800")").starts_with("the body is not valid JSON in UTF-8"));
}

BOOST_AUTO_TEST_CASE(texts_together_keep_to_the_budget) {
  ByteBudget budget(150'000);
  auto first = std::make_optional(parse_client_json(std::string(5000, ' ') + "[1]", &budget));
  BOOST_TEST(first->lease.bytes() == 5003u * 14);
  BOOST_TEST(budget.taken() == first->lease.bytes());
  auto second = std::async(std::launch::async, [&] { // has to wait
    return parse_client_json(std::string(6000, ' ') + "[2]", &budget).value;
  });
  BOOST_TEST(parse_client_json("[3]", &budget).value == json({3})); // passes it
  first.reset();
  BOOST_TEST(second.get() == json({2}));
  BOOST_TEST(budget.taken() == 0u);
  BOOST_TEST(parse_client_json(std::string(50'000, ' ') + "[4]", &budget).value == json({4}));
}

/// An error that could not be written would end the connection without a word.
BOOST_AUTO_TEST_CASE(errors_are_told_whatever_they_quote) {
  const ApiError error(400, "half of a character: \xC3", "fi\xE2\x82");
  for (const auto shape : {gateway::ErrorShape::openai, gateway::ErrorShape::anthropic}) {
    const json told = json::parse(error.body(shape));
    BOOST_TEST(told.at("error").at("message") == "half of a character: \uFFFD");
  }
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::tests
