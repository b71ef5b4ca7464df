// Server-sent events, and what happens when somebody stops listening or serving.
#include <boost/test/unit_test.hpp>
#include <future>

#include "tests/gateway/served_engine.hpp"
#include "tests/support/eventually.hpp"

namespace talaria::tests {

using Mode = WorkerSwitch::Mode;

namespace {

json streamed(json body) {
  body["stream"] = true;
  return body;
}

std::vector<json> stream_of(const RunningServer& server, const std::string& path,
                            const json& body) {
  const auto result = server.post(path, streamed(body));
  BOOST_REQUIRE(result);
  BOOST_TEST_REQUIRE(result->status == 200, result->body);
  BOOST_TEST(result->get_header_value("Content-Type") == "text/event-stream");
  return events_of(result->body);
}

int status_in(const httplib::Result& result) {
  return result ? result->status : -1;
}

std::future<int> status_of(const RunningServer& server, const std::string& path, json body) {
  return std::async(std::launch::async, [&server, path, body = std::move(body)] {
    return status_in(server.post(path, body));
  });
}

} // namespace

BOOST_AUTO_TEST_SUITE(http_streaming)

BOOST_AUTO_TEST_CASE(the_chunks_of_a_chat_answer_are_the_answer) {
  const RunningServer server;
  const auto events = stream_of(server, "/v1/chat/completions", chat_of("Hello there", 16));
  BOOST_TEST_REQUIRE(events.size() > 3);
  BOOST_TEST(events.front()["choices"][0]["delta"]["role"] == "assistant");
  BOOST_TEST(events.back() == "[DONE]");
  std::string text;
  for (std::size_t i = 0; i + 2 < events.size(); ++i) {
    BOOST_TEST(events[i]["object"] == "chat.completion.chunk");
    BOOST_TEST(events[i]["id"] == events[0]["id"]);
    BOOST_TEST(events[i]["choices"][0]["finish_reason"] == json());
    BOOST_TEST(!events[i].contains("usage"));
    text += events[i]["choices"][0]["delta"]["content"].get<std::string>();
  }
  BOOST_TEST(text == chatted("Hello there", 16).text);
  BOOST_TEST(events[events.size() - 2]["choices"][0]["finish_reason"] == "length");
}

BOOST_AUTO_TEST_CASE(the_chunks_of_several_completions_are_the_answers) {
  const RunningServer server;
  const std::vector<std::string> prompts{"Once upon a time", "The little dog"};
  std::vector<std::string> texts(2);
  std::vector<int> ends(2);
  const auto events = stream_of(server, "/v1/completions", completion_of(prompts, 10));
  for (const json& event : events) {
    if (event.is_string()) continue;
    const json& choice = event["choices"][0];
    const std::size_t index = choice["index"];
    texts.at(index) += choice["text"].get<std::string>();
    ends.at(index) += choice["finish_reason"] == "length";
  }
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    BOOST_TEST(texts[i] == completed(prompts[i], 10).text);
    BOOST_TEST(ends[i] == 1);
  }
}

BOOST_AUTO_TEST_CASE(usage_comes_last_when_it_is_asked_for) {
  const RunningServer server;
  json body = chat_of("Hello there", 9);
  body["stream_options"] = {{"include_usage", true}};
  const auto events = stream_of(server, "/v1/chat/completions", body);
  const json& last = events[events.size() - 2];
  BOOST_TEST(last["choices"].empty());
  BOOST_TEST(last["usage"]["completion_tokens"] == 9);
  BOOST_TEST(last["usage"]["total_tokens"] == last["usage"]["prompt_tokens"].get<int>() + 9);
  BOOST_TEST((events[0].contains("usage") && events[0]["usage"].is_null()));
}

BOOST_AUTO_TEST_CASE(a_failure_before_the_first_text_is_the_status_of_the_stream) {
  const RunningServer server;
  const WorkerThat worker(Mode::gone);
  const auto result = server.post("/v1/chat/completions", streamed(chat_of("Hello", 4)));
  BOOST_TEST_REQUIRE(result->status == 503);
  BOOST_TEST(json::parse(result->body)["error"]["code"] == "no_worker");
}

BOOST_AUTO_TEST_CASE(a_failure_later_is_an_event) {
  RunningServer server;
  std::string stream;
  auto client = server.client();
  httplib::Request request;
  request.method = "POST";
  request.path = "/v1/completions";
  request.headers = {{"Content-Type", "application/json"}};
  request.body = streamed(completion_of("Once upon a time", 1900)).dump();
  request.content_receiver = [&](const char* data, std::size_t size, u64, u64) {
    if (stream.empty()) worker_switch().set(Mode::lying);
    stream.append(data, size);
    return true;
  };
  const auto result = client.send(request);
  worker_switch().set(Mode::honest);
  BOOST_TEST_REQUIRE((result && result->status == 200));
  const auto events = events_of(stream);
  BOOST_TEST_REQUIRE(events.size() > 2);
  BOOST_TEST(events[events.size() - 2]["error"]["type"] == "server_error");
  BOOST_TEST(events[events.size() - 2]["error"]["code"] == "verification");
  BOOST_TEST(events.back() == "[DONE]");
  BOOST_TEST(
      server.becomes(R"(talaria_http_responses_total{path="/v1/completions",status="500"})", 1));
  server.end();
  const auto log = server.log();
  BOOST_TEST(std::count_if(log.begin(), log.end(), [](const std::string& line) {
               return line.find("/v1/completions 500") != std::string::npos;
             }) == 1);
}

BOOST_AUTO_TEST_CASE(a_client_that_leaves_a_stream_frees_its_place) {
  RunningServer server;
  auto client = server.client();
  httplib::Request request;
  request.method = "POST";
  request.path = "/v1/completions";
  request.headers = {{"Content-Type", "application/json"}};
  request.body = streamed(completion_of("Once upon a time", 1900)).dump();
  request.content_receiver = [&](const char*, std::size_t, u64, u64) {
    worker_switch().set(Mode::waiting); // so that the answer cannot have ended by itself
    return false;
  };
  BOOST_TEST(!client.send(request));
  client.stop();
  BOOST_TEST(server.becomes(kRunning, 0));
  worker_switch().set(Mode::honest);
  BOOST_TEST(server.answer("/v1/completions", completion_of("Once", 4))["choices"][0]["text"] ==
             completed("Once", 4).text);
  server.end();
  const auto log = server.log();
  BOOST_TEST(std::count_if(log.begin(), log.end(), [](const std::string& line) {
               return line.find("/v1/completions 499") != std::string::npos;
             }) == 1);
}

BOOST_AUTO_TEST_CASE(a_client_that_leaves_while_it_waits_for_a_whole_answer_frees_its_place) {
  const RunningServer server;
  const WorkerThat worker(Mode::waiting);
  auto client = server.client();
  client.set_read_timeout(std::chrono::milliseconds(300));
  BOOST_TEST(!client.Post("/v1/completions", completion_of("Once", 8).dump(), "application/json"));
  client.stop();
  BOOST_TEST(server.becomes(kRunning, 0));
}

BOOST_AUTO_TEST_CASE(a_client_that_leaves_the_queue_frees_its_place_there) {
  const RunningServer server([](gateway::ServerOptions& o) { o.max_running = 1; });
  auto running = std::future<int>();
  {
    const WorkerThat worker(Mode::waiting);
    running = status_of(server, "/v1/completions", completion_of("Once", 4));
    BOOST_TEST_REQUIRE(server.becomes(kRunning, 1));
    auto client = server.client();
    client.set_read_timeout(std::chrono::milliseconds(300));
    BOOST_TEST(!client.Post("/v1/completions", completion_of("A", 8).dump(), "application/json"));
    client.stop();
    BOOST_TEST(server.becomes(kWaiting, 0));
  }
  BOOST_TEST(running.get() == 200);
}

BOOST_AUTO_TEST_CASE(a_server_that_stops_lets_running_answers_end) {
  RunningServer server;
  auto running = std::future<int>();
  {
    const WorkerThat worker(Mode::waiting);
    running = status_of(server, "/v1/completions", completion_of("Once", 4));
    BOOST_TEST_REQUIRE(server.becomes(kRunning, 1));
    server.stop();
    // Connections of old are closed, new ones are told.
    BOOST_TEST(eventually([&] { return status_in(server.get("/ready")) == 503; }));
    std::string body;
    int refused = -1;
    BOOST_TEST(eventually([&] { // one that says nothing for a tenth of a second is closed, too
      const auto result = server.post("/v1/completions", completion_of("Once", 4));
      refused = status_in(result);
      if (result) body = result->body;
      return bool(result);
    }));
    BOOST_TEST_REQUIRE(refused == 503);
    BOOST_TEST(json::parse(body)["error"]["code"] == "shutting_down");
  }
  BOOST_TEST(running.get() == 200);
  server.end();
  BOOST_TEST(!server.get("/health"));
}

BOOST_AUTO_TEST_CASE(answers_that_outlive_the_grace_are_cancelled) {
  RunningServer server([](gateway::ServerOptions& o) {
    o.grace = std::chrono::milliseconds(50);
    o.max_running = 1;
  });
  const WorkerThat worker(Mode::waiting);
  auto running = status_of(server, "/v1/completions", completion_of("Once", 4));
  BOOST_TEST_REQUIRE(server.becomes(kRunning, 1));
  auto waiting = status_of(server, "/v1/completions", completion_of("Once", 4));
  BOOST_TEST_REQUIRE(server.becomes(kWaiting, 1));
  server.end();
  BOOST_TEST(running.get() == 503);
  BOOST_TEST(waiting.get() == 503);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::tests
