// /v1/responses and /v1/messages say what /v1/chat/completions says, in other words.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <numeric>
#include <sstream>

#include "tests/gateway/served_engine.hpp"

namespace talaria::tests {

BOOST_AUTO_TEST_SUITE(http_dialects)

namespace {

constexpr const char* kChat = "/v1/chat/completions";
constexpr const char* kResponses = "/v1/responses";
constexpr const char* kMessages = "/v1/messages";

json with(json body, const json& more) {
  body.update(more);
  return body;
}

/// The objects of a stream whose events have names, which must be their types.
std::vector<json> named_events(const std::string& stream) {
  std::vector<json> events;
  std::istringstream lines(stream);
  std::string name;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("event: ")) name = line.substr(7);
    if (!line.starts_with("data: ")) continue;
    events.push_back(json::parse(line.substr(6)));
    BOOST_TEST(events.back()["type"] == name);
  }
  return events;
}

std::vector<json> streamed(const RunningServer& server, const char* path, const json& body) {
  const auto result = server.post(path, with(body, {{"stream", true}}));
  BOOST_TEST_REQUIRE(result->status == 200, result->body);
  BOOST_TEST(result->get_header_value("Content-Type") == "text/event-stream");
  return named_events(result->body);
}

std::string joined(const std::vector<json>& events, const char* type,
                   const json::json_pointer& where) {
  std::string text;
  for (const json& event : events)
    if (event["type"] == type) text += event.value(where, std::string());
  return text;
}

std::vector<std::string> types_of(const std::vector<json>& events) {
  std::vector<std::string> types;
  for (const json& event : events) // as many deltas as there may be count as one
    if (types.empty() || types.back() != event["type"] ||
        types.back().find("delta") == std::string::npos)
      types.push_back(event["type"]);
  return types;
}

const char* const kSchema =
    R"({"type":"object","properties":{"city":{"enum":["Ulm","Bonn"]},"days":{"enum":[1,2]}},)"
    R"("required":["city","days"],"additionalProperties":false})";

/// With the tool as the other dialects' tools are written: the order of fields is a part of
/// prompts.
json chat_with_tool(const RunningServer& server, const json& body) {
  std::string text = body.dump();
  text.back() = ',';
  text += R"("tools":[{"type":"function","function":{"name":"weather","description":"w",)";
  text += R"("parameters":)" + json::parse(kSchema).dump() + "}}]}";
  const auto result = server.client().Post(kChat, text, "application/json");
  BOOST_TEST_REQUIRE(result->status == 200, result->body);
  return json::parse(result->body);
}

json responses_tool() {
  return {{"type", "function"},
          {"name", "weather"},
          {"description", "w"},
          {"parameters", json::parse(kSchema)}};
}

json messages_tool() {
  return {{"name", "weather"}, {"description", "w"}, {"input_schema", json::parse(kSchema)}};
}

} // namespace

BOOST_AUTO_TEST_CASE(all_dialects_give_the_same_answer) {
  const RunningServer server;
  // Text that would be a special token stays text, wherever a client puts it.
  const std::string rule = "Be <|im_end|> brief.";
  const std::string text = "Who are you? <|im_start|>";
  const json chat = server.answer(
      kChat, {{"messages",
               {{{"role", "system"}, {"content", rule}}, {{"role", "user"}, {"content", text}}}},
              {"max_tokens", 12},
              {"ignore_eos", true}});
  const json response = server.answer(
      kResponses,
      {{"instructions", rule}, {"input", text}, {"max_output_tokens", 12}, {"ignore_eos", true}});
  const json message =
      server.answer(kMessages, {{"system", rule},
                                {"messages", {{{"role", "user"}, {"content", text}}}},
                                {"max_tokens", 12},
                                {"ignore_eos", true}});
  const std::string answer = chat["choices"][0]["message"]["content"];
  BOOST_TEST(response["output"][0]["content"][0]["text"] == answer);
  BOOST_TEST(message["content"][0]["text"] == answer);
  BOOST_TEST(response["usage"]["input_tokens"] == chat["usage"]["prompt_tokens"]);
  BOOST_TEST(response["usage"]["output_tokens"] == 12);
  BOOST_TEST(response["usage"]["total_tokens"] == chat["usage"]["total_tokens"]);
  BOOST_TEST(message["usage"]["input_tokens"] == chat["usage"]["prompt_tokens"]);
  BOOST_TEST(message["usage"]["output_tokens"] == 12);
  // What ended it: the bound.
  BOOST_TEST(response["status"] == "incomplete");
  BOOST_TEST(response["incomplete_details"]["reason"] == "max_output_tokens");
  BOOST_TEST(response["output"][0]["status"] == "incomplete");
  BOOST_TEST(message["stop_reason"] == "max_tokens");
  BOOST_TEST(message["stop_sequence"].is_null());
  // What the request said comes back.
  BOOST_TEST(response["instructions"] == rule);
  BOOST_TEST(response["store"] == false);
  BOOST_TEST(response["max_output_tokens"] == 12);
}

BOOST_AUTO_TEST_CASE(a_stream_of_responses_has_every_event_of_the_whole) {
  const RunningServer server;
  const json body{
      {"input",
       json::array({{{"role", "user"}, {"content", {{{"type", "input_text"}, {"text", "Hi"}}}}}})},
      {"max_output_tokens", 9},
      {"ignore_eos", true},
      {"metadata", {{"a", "b"}}}};
  json whole = server.answer(kResponses, body);
  const auto events = streamed(server, kResponses, body);
  for (std::size_t i = 0; i < events.size(); ++i) BOOST_TEST(events[i]["sequence_number"] == i);
  const std::vector<std::string> expected{
      "response.created",           "response.in_progress",
      "response.output_item.added", "response.content_part.added",
      "response.output_text.delta", "response.output_text.done",
      "response.content_part.done", "response.output_item.done",
      "response.incomplete"};
  BOOST_TEST(types_of(events) == expected, boost::test_tools::per_element());
  const std::string text = whole["output"][0]["content"][0]["text"];
  BOOST_TEST(joined(events, "response.output_text.delta", "/delta"_json_pointer) == text);
  BOOST_TEST(joined(events, "response.output_text.done", "/text"_json_pointer) == text);
  BOOST_TEST(joined(events, "response.content_part.done", "/part/text"_json_pointer) == text);
  BOOST_TEST(events[0]["response"]["status"] == "in_progress");
  BOOST_TEST(events[0]["response"]["output"].empty());
  const std::string item = events[2]["item"]["id"];
  for (const json& event : events)
    if (event.contains("item_id")) BOOST_TEST(event["item_id"] == item);
  // The last event holds the whole, but for names and times.
  json last = events.back()["response"];
  BOOST_TEST(last["output"][0]["id"] == item);
  BOOST_TEST(last["id"] == events[0]["response"]["id"]);
  BOOST_TEST(last["id"].get<std::string>().starts_with("resp_"));
  for (json* each : {&last, &whole}) {
    each->erase("id");
    each->erase("created_at");
    (*each)["output"][0].erase("id");
  }
  last["usage"].erase("input_tokens_details"); // the second request may find the first one's prompt
  whole["usage"].erase("input_tokens_details");
  BOOST_TEST(last == whole);
  BOOST_TEST(last["metadata"]["a"] == "b");
}

BOOST_AUTO_TEST_CASE(a_stream_of_messages_has_every_event_of_the_whole) {
  const RunningServer server;
  const json body{{"messages", {{{"role", "user"}, {"content", "Hi"}}}},
                  {"max_tokens", 9},
                  {"ignore_eos", true}};
  const json whole = server.answer(kMessages, body);
  const auto events = streamed(server, kMessages, body);
  const std::vector<std::string> expected{"message_start",       "content_block_start",
                                          "content_block_delta", "content_block_stop",
                                          "message_delta",       "message_stop"};
  BOOST_TEST(types_of(events) == expected, boost::test_tools::per_element());
  BOOST_TEST(joined(events, "content_block_delta", "/delta/text"_json_pointer) ==
             whole["content"][0]["text"]);
  const json& start = events[0]["message"];
  BOOST_TEST(start["role"] == "assistant");
  BOOST_TEST(start["content"].empty());
  BOOST_TEST(start["usage"]["input_tokens"] == whole["usage"]["input_tokens"]);
  const json& delta = events[events.size() - 2];
  BOOST_TEST(delta["delta"]["stop_reason"] == "max_tokens");
  BOOST_TEST(delta["usage"] == whole["usage"]);
}

BOOST_AUTO_TEST_CASE(a_stop_sequence_is_named) {
  const RunningServer server;
  const json body{{"messages", {{{"role", "user"}, {"content", "Hi"}}}},
                  {"max_tokens", 12},
                  {"ignore_eos", true}};
  const std::string text = server.answer(kMessages, body)["content"][0]["text"];
  const std::string stop = text.substr(text.size() / 2, 3);
  const json stopped = server.answer(kMessages, with(body, {{"stop_sequences", {stop}}}));
  BOOST_TEST(stopped["stop_reason"] == "stop_sequence");
  BOOST_TEST(stopped["stop_sequence"] == stop);
  BOOST_TEST(stopped["content"][0]["text"] == text.substr(0, text.find(stop)));
  const auto events = streamed(server, kMessages, with(body, {{"stop_sequences", {stop}}}));
  BOOST_TEST(events[events.size() - 2]["delta"]["stop_sequence"] == stop);
}

BOOST_AUTO_TEST_CASE(a_forced_call_is_the_same_in_all_dialects) {
  const RunningServer server;
  const json user{{{"role", "user"}, {"content", "Weather?"}}};
  const json chat = chat_with_tool(server, {{"messages", user},
                                            {"max_tokens", 200},
                                            {"tool_choice", "required"},
                                            {"parallel_tool_calls", false}});
  const json call = chat["choices"][0]["message"]["tool_calls"][0];
  const json arguments = json::parse(call["function"]["arguments"].get<std::string>());

  const json asked{{"input", user},
                   {"max_output_tokens", 200},
                   {"tools", {responses_tool()}},
                   {"tool_choice", {{"type", "function"}, {"name", "weather"}}}};
  const json response = server.answer(kResponses, asked);
  BOOST_TEST(response["status"] == "completed");
  const json& item = response["output"].back();
  BOOST_TEST(item["type"] == "function_call");
  BOOST_TEST(item["name"] == "weather");
  BOOST_TEST(json::parse(item["arguments"].get<std::string>()) == arguments);
  auto events = streamed(server, kResponses, asked);
  const std::vector<std::string> expected{"response.created",
                                          "response.in_progress",
                                          "response.output_item.added",
                                          "response.function_call_arguments.delta",
                                          "response.function_call_arguments.done",
                                          "response.output_item.done",
                                          "response.completed"};
  BOOST_TEST(types_of(events) == expected, boost::test_tools::per_element());
  BOOST_TEST(joined(events, "response.function_call_arguments.delta", "/delta"_json_pointer) ==
             item["arguments"]);

  const json used{{"messages", user},
                  {"max_tokens", 200},
                  {"tools", {messages_tool()}},
                  {"tool_choice", {{"type", "any"}, {"disable_parallel_tool_use", true}}}};
  const json message = server.answer(kMessages, used);
  BOOST_TEST(message["stop_reason"] == "tool_use");
  BOOST_TEST(message["content"].back()["type"] == "tool_use");
  BOOST_TEST(message["content"].back()["input"] == arguments);
  events = streamed(server, kMessages, used);
  BOOST_TEST(json::parse(joined(events, "content_block_delta",
                                "/delta/partial_json"_json_pointer)) == arguments);
  BOOST_TEST(events[events.size() - 2]["delta"]["stop_reason"] == "tool_use");
}

BOOST_AUTO_TEST_CASE(a_conversation_with_calls_is_the_same_prompt_in_all_dialects) {
  const RunningServer server;
  const json arguments{{"city", "Ulm"}, {"days", 2}};
  const json chat_call{{"id", "c1"},
                       {"type", "function"},
                       {"function", {{"name", "weather"}, {"arguments", arguments.dump()}}}};
  const json chat = chat_with_tool(
      server, {{"messages",
                {{{"role", "user"}, {"content", "Weather?"}},
                 {{"role", "assistant"}, {"content", "Let me see."}, {"tool_calls", {chat_call}}},
                 {{"role", "tool"}, {"tool_call_id", "c1"}, {"content", "sunny"}},
                 {{"role", "user"}, {"content", "And?"}}}},
               {"max_tokens", 1}});
  const json items = json::array(
      {{{"role", "user"}, {"content", "Weather?"}},
       {{"type", "reasoning"}, {"id", "rs_1"}, {"summary", json::array()}},
       {{"type", "message"},
        {"role", "assistant"},
        {"id", "msg_1"},
        {"status", "completed"},
        {"content",
         {{{"type", "output_text"}, {"text", "Let me see."}, {"annotations", json::array()}}}}},
       {{"type", "function_call"},
        {"call_id", "c1"},
        {"name", "weather"},
        {"arguments", arguments.dump()}},
       {{"type", "function_call_output"}, {"call_id", "c1"}, {"output", "sunny"}},
       {{"role", "user"}, {"content", "And?"}}});
  const json response = server.answer(
      kResponses, {{"input", items}, {"tools", {responses_tool()}}, {"max_output_tokens", 1}});
  const json blocks = json::array(
      {{{"role", "user"}, {"content", "Weather?"}},
       {{"role", "assistant"},
        {"content",
         {{{"type", "text"}, {"text", "Let me see."}},
          {{"type", "tool_use"}, {"id", "c1"}, {"name", "weather"}, {"input", arguments}}}}},
       {{"role", "user"},
        {"content",
         {{{"type", "tool_result"},
           {"tool_use_id", "c1"},
           {"content", {{{"type", "text"}, {"text", "sunny"}}}}},
          {{"type", "text"}, {"text", "And?"}}}}}});
  const json messages{{"messages", blocks}, {"tools", {messages_tool()}}, {"max_tokens", 1}};
  const json message = server.answer(kMessages, messages);
  const json& tokens = chat["usage"]["prompt_tokens"];
  BOOST_TEST(response["usage"]["input_tokens"] == tokens);
  BOOST_TEST(message["usage"]["input_tokens"] == tokens);
  BOOST_TEST(response["output"][0]["content"][0]["text"] ==
             chat["choices"][0]["message"]["content"]);
  // Counting alone gives the same.
  json counted = messages;
  counted.erase("max_tokens");
  BOOST_TEST(server.answer("/v1/messages/count_tokens", counted)["input_tokens"] == tokens);
  BOOST_TEST(server.answer("/v1/responses/input_tokens",
                           {{"input", items}, {"tools", {responses_tool()}}})["input_tokens"] ==
             tokens);
}

BOOST_AUTO_TEST_CASE(a_last_message_of_the_assistant_is_continued) {
  const RunningServer server;
  const json turns{{{"role", "user"}, {"content", "Hi"}},
                   {{"role", "assistant"}, {"content", "I am"}}};
  const json chat = server.answer(kChat, {{"messages", turns},
                                          {"max_tokens", 6},
                                          {"continue_final_message", true},
                                          {"ignore_eos", true}});
  const json message =
      server.answer(kMessages, {{"messages", turns}, {"max_tokens", 6}, {"ignore_eos", true}});
  BOOST_TEST(message["content"][0]["text"] == chat["choices"][0]["message"]["content"]);
}

BOOST_AUTO_TEST_CASE(truncation_drops_the_oldest_items) {
  const RunningServer server;
  json items;
  for (int i = 0; i < 40; ++i)
    items.push_back({{"role", i % 2 == 0 ? "user" : "assistant"},
                     {"content", std::to_string(i) + std::string(48, 'x') + " yes."}});
  items.push_back({{"role", "user"}, {"content", "Hi"}});
  const json body{{"instructions", "Be brief."},
                  {"input", items},
                  {"max_output_tokens", 4},
                  {"ignore_eos", true}};
  const auto refused = server.post(kResponses, body);
  BOOST_TEST(refused->status == 400);
  BOOST_TEST(json::parse(refused->body)["error"]["code"] == "context_length_exceeded");
  const json cut = server.answer(kResponses, with(body, {{"truncation", "auto"}}));
  BOOST_TEST(cut["truncation"] == "auto");
  // It is the answer to what is left.
  bool found = false;
  for (std::size_t dropped = 1; dropped < items.size() && !found; dropped = 2 * dropped + 1) {
    const json rest(items.begin() + static_cast<std::ptrdiff_t>(dropped), items.end());
    const auto result = server.post(kResponses, with(body, {{"input", rest}}));
    if (result->status != 200) continue;
    const json shorter = json::parse(result->body);
    BOOST_TEST(shorter["usage"]["input_tokens"] == cut["usage"]["input_tokens"]);
    BOOST_TEST(shorter["output"][0]["content"][0]["text"] ==
               cut["output"][0]["content"][0]["text"]);
    found = true;
  }
  BOOST_TEST(found);
}

BOOST_AUTO_TEST_CASE(what_responses_cannot_do_is_refused_by_name) {
  const RunningServer server;
  const json body{{"input", "Hi"}, {"max_output_tokens", 1}};
  const std::pair<json, const char*> refused[] = {
      {{{"store", true}}, "store"},
      {{{"previous_response_id", "resp_1"}}, "previous_response_id"},
      {{{"conversation", "c"}}, "conversation"},
      {{{"background", true}}, "background"},
      {{{"prompt", {{"id", "p"}}}}, "prompt"},
      {{{"n", 2}}, "n"},
      {{{"unheard_of", 1}}, "unheard_of"},
      {{{"truncation", "middle"}}, "truncation"},
      {{{"tools", {{{"type", "web_search"}}}}}, "tools[0].type"},
      {{{"text", {{"format", {{"type", "xml"}}}}}}, "text.format.type"},
      {{{"input", json::array()}}, "input"},
      {{{"input", {{{"type", "item_reference"}, {"id", "x"}}}}}, "input[0]"},
      {{{"input",
         {{{"role", "user"}, {"content", {{{"type", "input_image"}, {"image_url", "data:,"}}}}}}}},
       "input[0].content[0]"},
      {{{"input",
         {{{"type", "function_call"}, {"call_id", "1"}, {"name", "f"}, {"arguments", "no"}}}}},
       "input[0].arguments"},
  };
  for (const auto& [more, param] : refused) {
    const auto result = server.post(kResponses, with(body, more));
    BOOST_TEST_CONTEXT(more.dump()) {
      BOOST_TEST(result->status == 400);
      BOOST_TEST(json::parse(result->body)["error"]["param"] == param);
    }
  }
  // And what asks for nothing is served.
  server.answer(kResponses, with(body, {{"store", false},
                                        {"include", {"reasoning.encrypted_content"}},
                                        {"previous_response_id", nullptr},
                                        {"background", false},
                                        {"reasoning", {{"effort", "low"}, {"summary", "auto"}}},
                                        {"parallel_tool_calls", true},
                                        {"user", "u"}}));
}

BOOST_AUTO_TEST_CASE(errors_of_messages_have_their_own_shape) {
  const RunningServer server;
  const json user{{{"role", "user"}, {"content", "Hi"}}};
  const auto error_of = [](const httplib::Result& result, int status) {
    BOOST_TEST(result->status == status);
    const json body = json::parse(result->body);
    BOOST_TEST(body["type"] == "error");
    BOOST_TEST(body["request_id"] == result->get_header_value("request-id"));
    return body["error"]["type"].get<std::string>() + ": " +
           body["error"]["message"].get<std::string>();
  };
  const auto asked = [&](const json& body) { return server.post(kMessages, body); };
  BOOST_TEST(error_of(asked({{"messages", user}}), 400) ==
             "invalid_request_error: max_tokens is missing");
  const json body{{"messages", user}, {"max_tokens", 1}};
  BOOST_TEST(error_of(asked(with(body, {{"unheard_of", 1}})), 400).find("unheard_of") !=
             std::string::npos);
  BOOST_TEST(
      error_of(asked(with(body, {{"model", "claude"}})), 404).starts_with("not_found_error"));
  const json image{
      {{"role", "user"}, {"content", {{{"type", "image"}, {"source", {{"type", "base64"}}}}}}}};
  BOOST_TEST(
      error_of(asked(with(body, {{"messages", image}})), 400).find("messages[0].content[0]") !=
      std::string::npos);
  const auto version = [&](const char* text) {
    return server.client().Post(kMessages, {{"anthropic-version", text}}, body.dump(),
                                "application/json");
  };
  for (const char* known : {"2023-06-01", "2026-10-21"}) BOOST_TEST(version(known)->status == 200);
  error_of(version("newest"), 400);
  BOOST_TEST(error_of(version("2020-01-01"), 400).find("2023-06-01") != std::string::npos);
  // What is wrong before the body is read has it too.
  BOOST_TEST(error_of(server.client().Post(kMessages, body.dump(), "text/plain"), 415)
                 .starts_with("invalid_request_error"));
  // Other paths keep theirs.
  BOOST_TEST(json::parse(server.post(kResponses, json::object())->body)["error"]["param"] ==
             "input");
}

BOOST_AUTO_TEST_CASE(a_stream_that_fails_says_so_in_its_dialect) {
  const RunningServer server(
      [](gateway::ServerOptions& o) { o.stream.pace = std::chrono::milliseconds(5); });
  const WorkerThat lies(WorkerSwitch::Mode::gone);
  auto events = streamed(server, kResponses, {{"input", "Hi"}, {"max_output_tokens", 3}});
  BOOST_TEST(events.back()["type"] == "response.failed");
  BOOST_TEST(events.back()["response"]["status"] == "failed");
  BOOST_TEST(events.back()["response"]["error"]["code"] == "no_worker");
  events = streamed(server, kMessages,
                    {{"messages", {{{"role", "user"}, {"content", "Hi"}}}}, {"max_tokens", 3}});
  BOOST_TEST(events.back()["type"] == "error");
  BOOST_TEST(events.back()["error"]["type"] == "overloaded_error");
}

// A template that opens the tag: this model never closes it, so that all of its answer is thought.
BOOST_AUTO_TEST_CASE(what_a_model_thinks_has_a_field_of_its_own_in_each_dialect) {
  const RunningServer server([](auto& options) {
    options.chat_template = model::ChatTemplate::parse(
        "{% for m in messages %}{{ m.content.split('</think>')[-1] }}{% endfor %}<think>\n", "test",
        {});
  });
  const json chat = chat_of("Hi", 6);
  const json prompt = server.answer("/tokenize", {{"messages", chat["messages"]}})["tokens"];
  const json plain = server.answer("/v1/completions", completion_of(prompt, 6));
  const std::string text = plain["choices"][0]["text"];
  const auto is_blank = [](char c) { return c == ' ' || c == '\n'; };
  const std::string thought(std::find_if_not(text.begin(), text.end(), is_blank),
                            std::find_if_not(text.rbegin(), text.rend(), is_blank).base());
  BOOST_TEST_REQUIRE(!thought.empty());

  const json whole = server.answer(kChat, chat);
  BOOST_TEST(whole["choices"][0]["message"]["reasoning_content"] == thought);
  BOOST_TEST(whole["choices"][0]["message"]["content"] == "");
  BOOST_TEST(whole["usage"]["completion_tokens_details"]["reasoning_tokens"] == 6);
  BOOST_TEST(plain["usage"]["completion_tokens_details"]["reasoning_tokens"] == 0);
  const auto stream = server.post(kChat, with(chat, {{"stream", true}}));
  std::string streamed_thought;
  for (const json& event : events_of(stream->body))
    if (event.is_object() && !event["choices"].empty())
      streamed_thought += event["choices"][0]["delta"].value("reasoning_content", std::string());
  BOOST_TEST(streamed_thought == thought);

  const json response =
      server.answer(kResponses, {{"input", "Hi"}, {"max_output_tokens", 6}, {"ignore_eos", true}});
  BOOST_TEST(response["output"][0]["type"] == "reasoning");
  BOOST_TEST(response["usage"]["output_tokens_details"]["reasoning_tokens"] == 6);
  const json formed = server.answer(
      kChat, with(chat_of("Hi", 6), {{"ignore_eos", false}, {"guided_choice", {"yes"}}}));
  BOOST_TEST(formed["choices"][0]["message"]["content"] == "yes");
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::tests
