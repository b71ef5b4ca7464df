// What a valid body becomes; wrong ones are in http_refusals_test.cpp.
#include "gateway/api_request.hpp"

#include <boost/test/unit_test.hpp>

namespace talaria::gateway {

namespace {

ApiDefaults defaults() {
  ApiDefaults out;
  out.model = "m";
  out.prompts = 4;
  return out;
}

ApiDefaults sampling_model() {
  ApiDefaults out = defaults();
  out.generation.do_sample = true;
  out.generation.temperature = 0.6F;
  out.generation.top_p = 0.9F;
  out.generation.top_k = 20;
  out.generation.repetition_penalty = 1.1F;
  return out;
}

} // namespace

BOOST_AUTO_TEST_SUITE(api_request)

BOOST_AUTO_TEST_CASE(absent_fields_have_the_defaults_of_the_endpoint) {
  const auto text = parse_completion_request(R"({"prompt":"a"})", defaults());
  BOOST_TEST(text.max_tokens == 16);
  BOOST_TEST(text.sampling.temperature == 0);
  BOOST_TEST(!text.stream);
  const auto chat =
      parse_chat_request(R"({"messages":[{"role":"user","content":"a"}]})", defaults());
  BOOST_TEST(chat.max_tokens > 1'000'000); // whatever the context holds
}

BOOST_AUTO_TEST_CASE(sampling_starts_from_what_the_model_ships) {
  const auto plain = parse_completion_request(R"({"prompt":"a"})", sampling_model());
  BOOST_TEST(plain.sampling.temperature == 0.6F);
  BOOST_TEST(plain.sampling.top_k == 20);
  const auto own = parse_completion_request(
      R"({"prompt":"a","temperature":0,"top_k":-1,"top_p":0.5})", sampling_model());
  BOOST_TEST(own.sampling.temperature == 0);
  BOOST_TEST(own.sampling.top_k == 0);
  BOOST_TEST(own.sampling.top_p == 0.5F);
  BOOST_TEST(own.sampling.repetition_penalty == 1.1F);
}

BOOST_AUTO_TEST_CASE(without_a_seed_every_request_draws_its_own) {
  const auto seed = [](const char* body) {
    return parse_completion_request(body, defaults()).sampling.seed;
  };
  const char* random = R"({"prompt":"a","temperature":1})";
  BOOST_TEST(seed(random) != seed(random));
  BOOST_TEST(seed(R"({"prompt":"a","temperature":1,"seed":7})") == 7);
  BOOST_TEST(seed(R"({"prompt":"a","seed":-1})") == ~u64{0});
}

BOOST_AUTO_TEST_CASE(the_newer_name_of_max_tokens_wins) {
  const auto chat = parse_chat_request(
      R"({"messages":[{"role":"user","content":"a"}],"max_tokens":9,"max_completion_tokens":5})",
      defaults());
  BOOST_TEST(chat.max_tokens == 5);
}

BOOST_AUTO_TEST_CASE(messages_keep_roles_and_order) {
  const auto chat = parse_chat_request(
      R"({"messages":[{"role":"system","content":"s"},{"role":"user","content":"u"},
          {"role":"assistant","content":"a"},{"role":"tool","content":"t","tool_call_id":"1"}]})",
      defaults());
  BOOST_TEST_REQUIRE(chat.messages.size() == 4);
  BOOST_TEST(chat.messages[0].role == "system");
  BOOST_TEST(chat.messages[3].role == "tool");
  BOOST_TEST(chat.messages[3].content == "t");
  BOOST_TEST(chat.prompt_count() == 1u);
}

BOOST_AUTO_TEST_CASE(a_chat_may_come_as_ids) {
  const auto chat = parse_chat_request(R"({"prompt_token_ids":[1,2,3]})", defaults());
  BOOST_TEST(chat.messages.empty());
  BOOST_REQUIRE(chat.prompts.size() == 1);
  BOOST_TEST((std::get<std::vector<u32>>(chat.prompts[0]) == std::vector<u32>{1, 2, 3}));
  for (const char* body :
       {"{}", R"({"prompt_token_ids":[]})", R"({"prompt_token_ids":[[1]]})",
        R"({"prompt_token_ids":[-1]})", R"({"prompt_token_ids":"1"})",
        R"({"prompt_token_ids":[1],"messages":[{"role":"user","content":"a"}]})"})
    BOOST_CHECK_THROW(parse_chat_request(body, defaults()), ApiError);
}

BOOST_AUTO_TEST_CASE(a_prompt_has_four_forms) {
  const auto prompts = [](const char* body) {
    return parse_completion_request(body, defaults()).prompts;
  };
  BOOST_TEST((prompts(R"({"prompt":"a"})") == std::vector<Prompt>{"a"}));
  BOOST_TEST((prompts(R"({"prompt":["a","b"]})") == std::vector<Prompt>{"a", "b"}));
  BOOST_TEST((prompts(R"({"prompt":[1,2]})") == std::vector<Prompt>{std::vector<u32>{1, 2}}));
  BOOST_TEST((prompts(R"({"prompt":[[1],[2,3]]})") ==
              std::vector<Prompt>{std::vector<u32>{1}, std::vector<u32>{2, 3}}));
}

BOOST_AUTO_TEST_CASE(stop_is_one_string_or_several) {
  BOOST_TEST(parse_completion_request(R"({"prompt":"a","stop":"x"})", defaults()).stops.size() ==
             1);
  BOOST_TEST(
      parse_completion_request(R"({"prompt":"a","stop":["x","y"]})", defaults()).stops.size() == 2);
}

BOOST_AUTO_TEST_CASE(tools_are_kept_as_they_are_written) {
  const std::string tools =
      R"([ {"type":"function", "function":{"parameters":{"z":1,"a":[{"b":"]"}]}, "name":"f"}} ])";
  const auto chat = parse_chat_request(
      R"({"tool\u0073":)" + tools + R"( , "messages":[{"role":"user","content":"\"tools\":7"}]})",
      defaults());
  BOOST_TEST(chat.chat.tools == tools);
  BOOST_TEST(chat.tools.expected);
  const auto none = parse_chat_request(R"({"tool_choice":"none","tools":)" + tools +
                                           R"(,"messages":[{"role":"user","content":"a"}]})",
                                       defaults());
  BOOST_TEST(none.chat.tools.empty());
  BOOST_TEST(!none.tools.expected);
}

BOOST_AUTO_TEST_CASE(calls_in_the_history_go_to_the_template_with_arguments_as_objects) {
  const auto chat = parse_chat_request(
      R"({"messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function",
          "function":{"name":"f","arguments":"{\"b\": 1, \"a\": 2}"}}]},
          {"role":"tool","tool_call_id":"c1","name":"f","content":"7"}]})",
      defaults());
  BOOST_TEST(chat.messages[0].content.empty());
  BOOST_TEST(chat.messages[0].fields ==
             R"({"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":)"
             R"({"b": 1, "a": 2}}}]})");
  BOOST_TEST(chat.messages[1].fields == R"({"name":"f","tool_call_id":"c1"})");
}

BOOST_AUTO_TEST_CASE(answers_asked_for_are_counted) {
  const auto wanted = [](const char* body) { return parse_completion_request(body, defaults()); };
  BOOST_TEST(wanted(R"({"prompt":"a","n":3})").choices == 3u);
  BOOST_TEST(wanted(R"({"prompt":"a","n":3})").best_of == 3u);
  BOOST_TEST(wanted(R"({"prompt":"a","n":2,"best_of":4})").best_of == 4u);
  BOOST_CHECK_THROW(wanted(R"({"prompt":["a","b"],"n":3})"), ApiError); // more than may run
  BOOST_CHECK_THROW(wanted(R"({"prompt":"a","n":2,"best_of":1})"), ApiError);
  BOOST_CHECK_THROW(wanted(R"({"prompt":"a","best_of":2,"stream":true})"), ApiError);
}

BOOST_AUTO_TEST_CASE(tools_that_are_not_allowed_are_as_if_they_were_not_sent) {
  const std::string chat = R"({"messages":[{"role":"user","content":"a"}],"tools":[)"
                           R"({"type":"function","function":{"name":"f"}},)"
                           R"({"type":"function","function":{"name":"g","parameters":{}}},)"
                           R"({"type":"function","function":{"name":"h"}}],"tool_choice":)";
  const auto of_chat = [&](const std::string& mode, const std::string& names) {
    return parse_chat_request(chat + R"({"type":"allowed_tools","allowed_tools":{"mode":")" + mode +
                                  R"(","tools":[)" + names + "]}}}",
                              defaults());
  };
  const char* h = R"({"type":"function","function":{"name":"h"}})";
  const char* g = R"({"type":"function","function":{"name":"g"}})";
  const auto both = of_chat("auto", std::string(h) + "," + g);
  BOOST_TEST(both.chat.tools == R"([{"type":"function","function":{"name":"g","parameters":{}}}, )"
                                R"({"type":"function","function":{"name":"h"}}])");
  BOOST_TEST((both.form.kind == AnswerForm::Kind::any));
  const auto one = of_chat("required", h);
  BOOST_TEST(one.chat.tools == "[" + std::string(h) + "]");
  BOOST_TEST((one.form.kind == AnswerForm::Kind::calls));
  BOOST_TEST(one.form.text.empty());
  BOOST_CHECK_THROW(of_chat("none", h), ApiError);
  BOOST_CHECK_THROW(of_chat("auto", ""), ApiError);
  BOOST_CHECK_THROW(of_chat("auto", R"({"type":"function","name":"h"})"), ApiError);
  BOOST_CHECK_THROW(of_chat("auto", R"({"type":"function","function":{"name":"x"}})"), ApiError);

  const auto response = parse_responses_request(
      R"({"input":"a","tools":[{"type":"function","name":"f"},{"type":"function","name":"g"}],)"
      R"("tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"g"}]}})",
      defaults());
  BOOST_TEST(response.chat.tools == R"([{"type":"function","function":{"name":"g"}}])");
}

// What goes into prompts as it is written is found behind a byte order mark too, and under names
// that are written with escapes.
BOOST_AUTO_TEST_CASE(bodies_may_be_written_in_unusual_ways) {
  const char* tools = R"("tools":[{"name":"f","input_schema":{"b":1,"a":2}}],"max_tokens":1})";
  for (const char* begin : {"{", "\xEF\xBB\xBF {", " { "})
    for (const char* name : {"messages", "mess\\u0061ges"}) {
      const std::string body = std::string(begin) + "\"" + name +
                               R"(":[{"role":"assistant","content":[{"type":"tool_use","id":"1",)" +
                               R"("name":"f","input":{"z":1,"y":2}}]}],)" + tools;
      const auto request = parse_messages_request(body, defaults());
      BOOST_TEST(request.messages.at(0).fields.find(R"("arguments":{"z":1,"y":2})") !=
                 std::string::npos);
      BOOST_TEST(request.chat.tools.find(R"("parameters":{"b":1,"a":2})") != std::string::npos);
    }
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::gateway
