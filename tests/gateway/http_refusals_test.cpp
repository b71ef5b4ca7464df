// Each kind of wrong request, and what the client is told.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <future>
#include <ostream>

#include "tests/gateway/served_engine.hpp"
#include "tests/support/eventually.hpp"

namespace talaria::tests {

using Mode = WorkerSwitch::Mode;

namespace {

struct Refusal {
  const char* path;
  const char* body;
  int status;
  const char* param; ///< null: none
};
std::ostream& operator<<(std::ostream& out, const Refusal& refusal) {
  return out << refusal.path << ' ' << std::string(refusal.body).substr(0, 80);
}

constexpr const char* kChat = "/v1/chat/completions";
constexpr const char* kText = "/v1/completions";

const Refusal kRefusals[] = {
    {kText, "", 400, nullptr},
    {kText, "{", 400, nullptr},
    {kText, "[]", 400, nullptr},
    {kText, "nonsense", 400, nullptr},
    {kText, R"({"prompt":"\xff"})", 400, nullptr},
    {kText, "{\"prompt\":\"\xff\xfe\"}", 400, nullptr},
    {kText, R"({"prompt":"\ud800"})", 400, nullptr},
    {kText, R"({"prompt":"a","temperature":1e999})", 400, nullptr},
    {kText, R"({})", 400, "prompt"},
    {kText, R"({"prompt":null})", 400, "prompt"},
    {kText, R"({"prompt":""})", 400, "prompt"},
    {kText, R"({"prompt":[]})", 400, "prompt"},
    {kText, R"({"prompt":[[]]})", 400, "prompt[0]"},
    {kText, R"({"prompt":[1,"a"]})", 400, "prompt"},
    {kText, R"({"prompt":["a",1]})", 400, "prompt[1]"},
    {kText, R"({"prompt":[-1]})", 400, "prompt"},
    {kText, R"({"prompt":[4096]})", 400, "prompt"}, // outside the vocabulary
    {kText, R"({"prompt":{"a":1}})", 400, "prompt"},
    {kText, R"({"prompt":"a","model":"other"})", 404, "model"},
    {kText, R"({"prompt":"a","model":7})", 400, "model"},
    {kText, R"({"prompt":"a","max_tokens":-5})", 400, "max_tokens"},
    {kText, R"({"prompt":"a","max_tokens":"5"})", 400, "max_tokens"},
    {kText, R"({"prompt":"a","max_tokens":1.5})", 400, "max_tokens"},
    {kText, R"({"prompt":"a","max_tokens":99999999999})", 400, "max_tokens"},
    {kText, R"({"prompt":"a","temperature":-1})", 400, "temperature"},
    {kText, R"({"prompt":"a","temperature":"hot"})", 400, "temperature"},
    {kText, R"({"prompt":"a","temperature":1e300})", 400, "temperature"},
    {kText, R"({"prompt":"a","top_p":0})", 400, "top_p"},
    {kText, R"({"prompt":"a","top_p":1.1})", 400, "top_p"},
    {kText, R"({"prompt":"a","top_k":-2})", 400, "top_k"},
    {kText, R"({"prompt":"a","repetition_penalty":0})", 400, "repetition_penalty"},
    {kText, R"({"prompt":"a","seed":1.5})", 400, "seed"},
    {kText, R"({"prompt":"a","stop":""})", 400, "stop"},
    {kText, R"({"prompt":"a","stop":[1]})", 400, "stop"},
    {kText, R"({"prompt":"a","stop":["1","2","3","4","5","6","7","8","9","10","11","12","13","14",
                                      "15","16","17"]})",
     400, "stop"},
    {kText, R"({"prompt":"a","stream":1})", 400, "stream"},
    {kText, R"({"prompt":"a","stream_options":{"include_usage":true}})", 400, "stream_options"},
    {kText, R"({"prompt":"a","stream":true,"stream_options":{"other":true}})", 400,
     "stream_options.other"},
    {kText, R"({"prompt":"a","n":0})", 400, "n"},
    {kText, R"({"prompt":"a","n":257})", 400, "n"},
    {kText, R"({"prompt":"a","best_of":2,"stream":true})", 400, "best_of"},
    {kText, R"({"prompt":"a","n":3,"best_of":2})", 400, "best_of"},
    {kText, R"({"prompt":"a","echo":1})", 400, "echo"},
    {kText, R"({"prompt":"a","prompt_logprobs":1,"stream":true})", 400, "stream"},
    {kText, R"({"prompt":"a","return_token_ids":true,"stream":true})", 400, "stream"},
    {kText, R"({"prompt":"a","suffix":"b"})", 400, "suffix"},
    {kText, R"({"prompt":"a","logprobs":21})", 400, "logprobs"},
    {kText, R"({"prompt":"a","logprobs":-1})", 400, "logprobs"},
    {kText, R"({"prompt":"a","presence_penalty":2.5})", 400, "presence_penalty"},
    {kText, R"({"prompt":"a","frequency_penalty":-3})", 400, "frequency_penalty"},
    {kText, R"({"prompt":"a","logit_bias":{"x":1}})", 400, "logit_bias"},
    {kText, R"({"prompt":"a","logit_bias":{"5":101}})", 400, "logit_bias"},
    {kText, R"({"prompt":"a","logit_bias":{"4096":1}})", 400, "logit_bias"},
    {kText, R"({"prompt":"a","allowed_token_ids":[]})", 400, "allowed_token_ids"},
    {kText, R"({"prompt":"a","allowed_token_ids":[4096]})", 400, "allowed_token_ids"},
    {kText, R"({"prompt":"a","stop_token_ids":[4096]})", 400, "stop_token_ids"},
    {kText, R"({"prompt":"a","min_tokens":17})", 400, "min_tokens"},
    {kText, R"({"prompt":"a","bad_words":[""]})", 400, "bad_words"},
    {kText, R"({"prompt":"a","guided_regex":"(?=b)a"})", 400, "guided_regex"},
    {kText, R"({"prompt":"a","guided_choice":[]})", 400, "guided_choice"},
    {kText, R"({"prompt":"a","guided_grammar":"root ::= \"a"})", 400, "guided_grammar"},
    {kText, R"({"prompt":"a","grammar":"root ::= root \"a\""})", 400, "grammar"},
    {kText, R"({"prompt":"a","guided_regex":"a","guided_choice":["b"]})", 400, "guided_regex"},
    {kText, R"({"prompt":"a","guided_json":{"not":{}}})", 400, "guided_json"},
    {kText, R"({"prompt":"a","guided_choice":["a"],"ignore_eos":true})", 400, "ignore_eos"},
    {kText, R"({"prompt":"a","use_beam_search":true})", 400, "use_beam_search"},
    {kText, R"({"prompt":"a","ignore_eos":"yes"})", 400, "ignore_eos"},
    {kText, R"({"prompt":"a","messages":[]})", 400, "messages"},
    {kText, R"({"prompt":"a","unheard_of":1})", 400, "unheard_of"},
    {kChat, R"({})", 400, "messages"},
    {kChat, R"({"messages":[]})", 400, "messages"},
    {kChat, R"({"messages":"hello"})", 400, "messages"},
    {kChat, R"({"messages":["hello"]})", 400, "messages[0]"},
    {kChat, R"({"messages":[{"role":"user"}]})", 400, "messages[0].content"},
    {kChat, R"({"messages":[{"role":"king","content":"a"}]})", 400, "messages[0].role"},
    {kChat, R"({"messages":[{"content":"a"}]})", 400, "messages[0].role"},
    {kChat, R"({"messages":[{"role":"user","content":7}]})", 400, "messages[0].content"},
    {kChat, R"({"messages":[{"role":"user","content":[]}]})", 400, "messages[0].content"},
    {kChat, R"({"messages":[{"role":"user","content":[{"type":"image_url","image_url":{}}]}]})",
     400, "messages[0].content[0]"},
    {kChat, R"({"messages":[{"role":"user","content":"a","name":7}]})", 400, "messages[0].name"},
    {kChat, R"({"messages":[{"role":"user","content":null}]})", 400, "messages[0].content"},
    {kChat, R"({"messages":[{"role":"user","content":"a","audio":{"id":"b"}}]})", 400,
     "messages[0].audio"},
    {kChat, R"({"messages":[{"role":"assistant","tool_calls":[{"id":"b"}]}]})", 400,
     "messages[0].tool_calls[0]"},
    {kChat,
     R"({"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{"}}]}]})",
     400, "messages[0].tool_calls[0].function.arguments"},
    {kChat, R"({"messages":[{"role":"user","content":"a","tool_calls":[{"id":"b"}]}]})", 400,
     "messages[0].tool_calls"},
    {kChat,
     R"({"messages":[{"role":"user","content":[{"type":"text","text":"a","image_url":"b"}]}]})",
     400, "messages[0].content[0].image_url"},
    {kChat, R"({"messages":[{"role":"user","content":"a"}],"store":true})", 400, "store"},
    {kChat, R"({"messages":[{"role":"user","content":"a"}],"service_tier":"priority"})", 400,
     "service_tier"},
    {kChat, R"({"messages":[{"role":"user","content":"a"}],"modalities":["text","audio"]})", 400,
     "modalities"},
    {kChat, R"({"messages":[{"role":"user","content":"a"}],"reasoning_effort":7})", 400,
     "reasoning_effort"},
    {kChat, R"({"messages":[{"role":"user","content":"a"}],"max_tokens":0})", 400, "max_tokens"},
    {kChat, R"({"messages":[{"role":"user","content":"a"}],"echo":true})", 400, "echo"},
    {kChat, R"({"messages":[{"role":"user","content":"a"}],"top_logprobs":2})", 400,
     "top_logprobs"},
    {kChat, R"({"messages":[{"role":"user","content":"a"}],"documents":[{"text":"b"}]})", 400,
     "documents"},
    {kChat, R"({"messages":[{"role":"user","content":"a"}],"chat_template":"b"})", 400,
     "chat_template"},
    {kChat, R"({"messages":[{"role":"user","content":"a"}],"tool_choice":"required"})", 400,
     "tool_choice"},
    {kChat, R"({"messages":[{"role":"user","content":"a"}],"verbosity":"low"})", 400, "verbosity"},
    {kChat,
     R"({"messages":[{"role":"user","content":"a"}],"continue_final_message":true,
         "add_generation_prompt":true})",
     400, "continue_final_message"},
    {kChat,
     R"({"messages":[{"role":"user","content":"a"}],"chat_template_kwargs":{"bos_token":"b"}})",
     400, "messages"},
    {kChat, R"({"messages":[{"role":"user","content":"a"}],"metadata":7})", 400, "metadata"},
    {kText, R"({"prompt":"a","min_p":1.1})", 400, "min_p"},
    {kChat, R"({"messages":[{"role":"user","content":"a"}],"max_completion_tokens":0})", 400,
     "max_completion_tokens"},
    {kText, R"({"prompt":"a","stream":true,"stream_options":{"include_obfuscation":1}})", 400,
     "stream_options.include_obfuscation"},
    {kChat, R"({"messages":[{"role":"user","content":"a"}],"tools":[{"type":"function"}]})", 400,
     "tools[0].function"},
    {kChat, R"({"messages":[{"role":"user","content":"a"}],"logprobs":5})", 400, "logprobs"},
    {kChat, R"({"messages":[{"role":"user","content":"a"}],"response_format":{"type":"xml"}})", 400,
     "response_format.type"},
    {kChat,
     R"({"messages":[{"role":"user","content":"a"}],"response_format":{"type":"json_schema",
         "json_schema":{"name":"n","schema":{"type":"array","uniqueItems":true}}}})",
     400, "response_format.json_schema.schema"},
    {kChat, R"({"messages":[{"role":"user","content":"a"}],"prompt":"b"})", 400, "prompt"},
};

} // namespace

BOOST_AUTO_TEST_SUITE(http_refusals)

BOOST_AUTO_TEST_CASE(every_wrong_field_is_named) {
  const RunningServer server;
  for (const Refusal& refusal : kRefusals) BOOST_TEST_CONTEXT(refusal) {
      const auto result = server.client().Post(refusal.path, refusal.body, "application/json");
      BOOST_REQUIRE(result);
      BOOST_TEST(result->status == refusal.status);
      const json error = json::parse(result->body)["error"];
      BOOST_TEST(error["type"] == "invalid_request_error");
      BOOST_TEST(!error["message"].get<std::string>().empty());
      BOOST_TEST(error["param"] == (refusal.param ? json(refusal.param) : json()));
    }
  BOOST_TEST(server.metric(kRunning) == 0);
}

BOOST_AUTO_TEST_CASE(fields_that_change_nothing_are_taken) {
  const RunningServer server;
  json body = chat_of("Hello", 2);
  body.update({{"n", 1},
               {"tools", json::array()},
               {"tool_choice", "none"},
               {"logprobs", false},
               {"response_format", {{"type", "text"}}},
               {"presence_penalty", 0.0},
               {"logit_bias", json::object()},
               {"user", "somebody"},
               {"top_k", -1},
               {"stop", nullptr},
               {"seed", -3},
               {"model", "talaria-tiny"}});
  BOOST_TEST(server.answer("/v1/chat/completions", body)["choices"][0]["message"]["content"] ==
             chatted("Hello", 2).text);
}

// Every field of OpenAI's API, null: it asks for nothing (B27).
BOOST_AUTO_TEST_CASE(null_asks_for_nothing_whatever_the_field) {
  const RunningServer server;
  constexpr const char* kFields[] = {"audio",
                                     "best_of",
                                     "echo",
                                     "frequency_penalty",
                                     "function_call",
                                     "functions",
                                     "logit_bias",
                                     "logprobs",
                                     "max_completion_tokens",
                                     "max_tokens",
                                     "metadata",
                                     "modalities",
                                     "model",
                                     "n",
                                     "parallel_tool_calls",
                                     "prediction",
                                     "presence_penalty",
                                     "prompt_cache_key",
                                     "prompt_cache_retention",
                                     "reasoning_effort",
                                     "response_format",
                                     "safety_identifier",
                                     "seed",
                                     "service_tier",
                                     "stop",
                                     "store",
                                     "stream",
                                     "stream_options",
                                     "suffix",
                                     "temperature",
                                     "tool_choice",
                                     "tools",
                                     "top_logprobs",
                                     "top_p",
                                     "user",
                                     "verbosity",
                                     "web_search_options",
                                     "min_p",
                                     "guided_json",
                                     "stop_token_ids"};
  json chat = chat_of("Hello", 2);
  json text = completion_of("Hello", 2);
  for (const char* field : kFields) {
    if (!chat.contains(field)) chat[field] = nullptr;
    if (!text.contains(field)) text[field] = nullptr;
  }
  BOOST_TEST(server.answer("/v1/chat/completions", chat)["choices"][0]["message"]["content"] ==
             chatted("Hello", 2).text);
  BOOST_TEST(server.answer("/v1/completions", text)["choices"][0]["text"] ==
             completed("Hello", 2).text);
}

BOOST_AUTO_TEST_CASE(fields_of_newer_clients_that_change_nothing_are_taken) {
  const RunningServer server;
  json body = chat_of("Hello", 2);
  body.update({{"store", false},
               {"metadata", {{"team", "a"}, {"run", "7"}}},
               {"parallel_tool_calls", false},
               {"service_tier", "auto"},
               {"modalities", json::array({"text"})},
               {"functions", json::array()},
               {"tool_choice", "auto"},
               {"prompt_cache_key", "k"},
               {"safety_identifier", "s"},
               {"verbosity", "medium"},
               {"min_p", 0},
               {"stop_token_ids", json::array()},
               {"skip_special_tokens", true},
               {"chat_template_kwargs", json::object()}});
  BOOST_TEST(server.answer("/v1/chat/completions", body)["choices"][0]["message"]["content"] ==
             chatted("Hello", 2).text);
  json text = completion_of("Hello", 9);
  text["max_completion_tokens"] = 2;
  BOOST_TEST(server.answer("/v1/completions", text)["choices"][0]["text"] ==
             completed("Hello", 2).text);
}

// What SDKs send back of an answer, and what frameworks add (B28).
BOOST_AUTO_TEST_CASE(messages_that_say_the_same_are_answered_the_same) {
  const RunningServer server;
  const auto answer_to = [&](const json& messages) {
    json body = chat_of("", 4);
    body["messages"] = messages;
    return server.answer("/v1/chat/completions", body)["choices"][0]["message"]["content"];
  };
  const json plain = json::array({{{"role", "system"}, {"content", "Be brief"}},
                                  {{"role", "user"}, {"content", "Hello"}},
                                  {{"role", "assistant"}, {"content", "Hi"}},
                                  {{"role", "assistant"}, {"content", ""}},
                                  {{"role", "user"}, {"content", "Who are you?"}}});
  json rich = plain;
  rich[0]["role"] = "developer";
  rich[1]["name"] = "somebody";
  rich[1]["content"] = json::array(
      {{{"type", "text"}, {"text", "Hello"}, {"cache_control", {{"type", "ephemeral"}}}}});
  rich[2].update({{"refusal", nullptr},
                  {"annotations", json::array()},
                  {"audio", nullptr},
                  {"function_call", nullptr},
                  {"tool_calls", json::array()}});
  rich[3]["content"] = nullptr;
  BOOST_TEST(answer_to(rich) == answer_to(plain));
}

BOOST_AUTO_TEST_CASE(a_prompt_longer_than_the_context_is_refused_in_the_words_clients_look_for) {
  const RunningServer server;
  const u32 context = engine().plan().max_position;
  const auto refused = [&](const std::string& path, const json& body, const char* param) {
    const auto result = server.post(path, body);
    BOOST_TEST_REQUIRE(result->status == 400);
    const json error = json::parse(result->body)["error"];
    BOOST_TEST(error["param"] == param);
    BOOST_TEST(error["code"] == "context_length_exceeded");
    const auto message = error["message"].get<std::string>();
    BOOST_TEST(message.find("maximum context length is " + std::to_string(context)) !=
               std::string::npos);
  };
  refused("/v1/completions", completion_of(std::vector<u32>(context + 1, 5), 1), "prompt");
  refused("/v1/completions", completion_of(std::vector<u32>(context, 5), 1), "prompt");
  refused("/v1/completions", completion_of(std::string(200'000, 'x'), 1), "prompt");
  json streamed = chat_of(std::string(200'000, 'x'), 1);
  streamed["stream"] = true;
  refused("/v1/chat/completions", streamed, "messages");
  json many = chat_of("a", 1);
  many["messages"] = json(context, many["messages"][0]);
  refused("/v1/chat/completions", many, "messages");
}

// Its text would take seconds to turn into tokens (F2): what cannot fit is not tried.
BOOST_AUTO_TEST_CASE(long_bodies_do_not_keep_short_ones_waiting) {
  const RunningServer server;
  const std::string body = completion_of(std::string(4'000'000, ' '), 1).dump();
  std::vector<std::future<int>> long_ones;
  for (int i = 0; i < 24; ++i)
    long_ones.push_back(std::async(std::launch::async, [&] {
      const auto result = server.client().Post("/v1/completions", body, "application/json");
      return result ? result->status : -1;
    }));
  for (int i = 0; i < 4; ++i) {
    BOOST_TEST(server.get("/health")->status == 200);
    BOOST_TEST(server.answer("/v1/completions", completion_of("Once", 2))["choices"].size() == 1U);
  }
  for (auto& each : long_ones) BOOST_TEST(each.get() == 400);
}

BOOST_AUTO_TEST_CASE(one_prompt_that_is_refused_ends_the_others_of_its_request) {
  const RunningServer server;
  const json prompts = json::array({json::array({5, 6}), json::array({4096})});
  BOOST_TEST(server.post("/v1/completions", completion_of(prompts, 900))->status == 400);
  BOOST_TEST(server.metric(kRunning) == 0);
}

BOOST_AUTO_TEST_CASE(chat_without_a_template_is_refused) {
  const RunningServer server([](gateway::ServerOptions& o) { o.chat_template.reset(); });
  BOOST_TEST(server.post("/v1/chat/completions", chat_of("Hello", 1))->status == 400);
}

BOOST_AUTO_TEST_CASE(paths_methods_and_types_that_are_not_served_are_refused) {
  const RunningServer server;
  BOOST_TEST(server.get("/")->status == 404);
  BOOST_TEST(server.get("/v1/models/other")->status == 404);
  BOOST_TEST(server.post("/v2/completions", completion_of("a", 1))->status == 404);
  const auto wrong_method = server.get("/v1/completions");
  BOOST_TEST(wrong_method->status == 405);
  BOOST_TEST(wrong_method->get_header_value("Allow") == "POST");
  BOOST_TEST(server.post("/ready", json::object())->status == 405);
  BOOST_TEST(server.client().Delete("/v1/models")->status == 405);
  const auto form = server.client().Post("/v1/completions", R"({"prompt":"a"})",
                                         "application/x-www-form-urlencoded");
  BOOST_TEST(form->status == 415);
  BOOST_TEST(server.client().Post("/v1/completions", R"({"prompt":"a"})", "text/plain")->status ==
             415);
  for (const char* path : {"/nowhere", "/v1/completions"})
    BOOST_TEST(json::parse(server.get(path)->body)["error"]["type"] == "invalid_request_error");
}

BOOST_AUTO_TEST_CASE(a_client_is_told_what_happened_and_the_log_where) {
  for (const Mode mode : {Mode::lying, Mode::gone}) {
    RunningServer server;
    const WorkerThat worker(mode);
    for (const bool stream : {false, true}) {
      json body = completion_of("Once", 4);
      body["stream"] = stream;
      const auto result = server.post("/v1/completions", body);
      BOOST_TEST_REQUIRE(bool(result));
      const auto id = result->get_header_value("X-Request-Id");
      BOOST_TEST(id.size() == 16U);
      for (const char* inside : {"layers.", "qkv", "worker '", "127.0.0.1", "embedded", "/"})
        BOOST_TEST(json::parse(result->body)["error"]["message"].get<std::string>().find(inside) ==
                       std::string::npos,
                   result->body);
      BOOST_TEST(result->body.find(id) != std::string::npos);
      BOOST_TEST(eventually([&] {
        const auto lines = server.log();
        return std::any_of(lines.begin(), lines.end(), [&](const std::string& line) {
          return line.starts_with("error trace=" + id) && line.find("layers.0") != line.npos;
        });
      }));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_lying_worker_is_an_error_and_not_an_answer) {
  const RunningServer server;
  const WorkerThat worker(Mode::lying);
  const auto result = server.post("/v1/completions", completion_of("Once", 4));
  BOOST_TEST_REQUIRE(result->status == 500);
  const json error = json::parse(result->body)["error"];
  BOOST_TEST(error["type"] == "server_error");
  BOOST_TEST(error["code"] == "verification");
}

BOOST_AUTO_TEST_CASE(no_worker_is_a_reason_to_come_back_later) {
  const RunningServer server;
  const WorkerThat worker(Mode::gone);
  const auto result = server.post("/v1/chat/completions", chat_of("Hello", 4));
  BOOST_TEST_REQUIRE(result->status == 503);
  BOOST_TEST(json::parse(result->body)["error"]["code"] == "no_worker");
  BOOST_TEST(result->has_header("Retry-After"));
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::tests
