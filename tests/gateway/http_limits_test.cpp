// Bounds on what clients can make the server do or keep.
#include <boost/test/unit_test.hpp>
#include <future>

#include "tests/gateway/raw_client.hpp"
#include "tests/gateway/served_engine.hpp"

namespace talaria::tests {

using Mode = WorkerSwitch::Mode;

namespace {

/// Sends bytes and returns everything that comes back until the server closes the connection.
std::string exchange_bytes(u16 port, const std::string& bytes) {
  const RawClient client(port);
  client.send(bytes);
  return client.rest();
}

bool begins_with_status(const std::string& response, int status) {
  return response.starts_with("HTTP/1.1 " + std::to_string(status) + " ");
}

const std::string kHead =
    "POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    "Content-Type: application/json\r\n";

} // namespace

BOOST_AUTO_TEST_SUITE(http_limits)

BOOST_AUTO_TEST_CASE(requests_beyond_the_queue_are_refused_and_the_others_answered) {
  const RunningServer server([](gateway::ServerOptions& o) {
    o.max_running = 1;
    o.max_waiting = 1;
  });
  const auto ask = [&server] {
    return std::async(std::launch::async, [&server] {
      const auto result = server.post("/v1/completions", completion_of("Once", 4));
      return result ? json::parse(result->body) : json();
    });
  };
  std::future<json> running;
  std::future<json> waiting;
  {
    const WorkerThat worker(Mode::waiting);
    running = ask();
    BOOST_TEST_REQUIRE(server.becomes(kRunning, 1));
    waiting = ask();
    BOOST_TEST_REQUIRE(server.becomes(kWaiting, 1));
    const auto refused = server.post("/v1/completions", completion_of("Once", 4));
    BOOST_TEST_REQUIRE(refused->status == 429);
    const json error = json::parse(refused->body)["error"];
    BOOST_TEST(error["code"] == "queue_full");
    BOOST_TEST(error["type"] == "rate_limit_error");
    BOOST_TEST(refused->has_header("Retry-After"));
  }
  const std::string expected = completed("Once", 4).text;
  BOOST_TEST(running.get()["choices"][0]["text"] == expected);
  BOOST_TEST(waiting.get()["choices"][0]["text"] == expected);
}

BOOST_AUTO_TEST_CASE(more_prompts_than_can_run_at_once_are_refused) {
  const RunningServer server([](gateway::ServerOptions& o) { o.max_running = 2; });
  const auto result = server.post("/v1/completions", completion_of({"a", "b", "c"}, 1));
  BOOST_TEST_REQUIRE(result->status == 400);
  BOOST_TEST(json::parse(result->body)["error"]["param"] == "prompt");
  BOOST_TEST(server.answer("/v1/completions", completion_of({"a", "b"}, 1))["choices"].size() == 2);
}

BOOST_AUTO_TEST_CASE(a_body_over_the_limit_is_refused_however_it_is_sent) {
  const RunningServer server([](gateway::ServerOptions& o) { o.max_body_bytes = 100'000; });
  const std::string large = completion_of(std::string(200'000, 'a'), 1).dump();
  BOOST_TEST(server.client().Post("/v1/completions", large, "application/json")->status == 413);

  std::size_t sent = 0;
  const auto chunked = server.client().Post(
      "/v1/completions",
      [&](std::size_t, httplib::DataSink& sink) {
        const std::size_t size = std::min<std::size_t>(10'000, large.size() - sent);
        sink.write(large.data() + sent, size);
        if ((sent += size) == large.size()) sink.done();
        return true;
      },
      "application/json");
  BOOST_TEST_REQUIRE(chunked);
  BOOST_TEST(chunked->status == 413);

  auto compressing = server.client();
  compressing.set_compress(true);
  const auto compressed = compressing.Post("/v1/completions", large, "application/json");
  BOOST_TEST_REQUIRE(compressed);
  BOOST_TEST(compressed->status == 413);

  BOOST_TEST(server.answer("/v1/completions", completion_of("Once", 1))["choices"].size() == 1);
}

BOOST_AUTO_TEST_CASE(what_is_not_http_is_refused) {
  const RunningServer server;
  for (const char* bytes : {"\x16\x03\x01\x02\r\n\r\n", "hello\r\n\r\n", "GET /health\r\n\r\n",
                            "GET /health HTTP/9.9\r\n\r\n", "GET /health HTTP/1.1\r\n\r\n"})
    BOOST_TEST(begins_with_status(exchange_bytes(server.port(), bytes), 400));
  BOOST_TEST(server.get("/health")->status == 200);
}

BOOST_AUTO_TEST_CASE(a_head_without_end_is_cut_off) {
  const RunningServer server;
  std::string head = "GET /health HTTP/1.1\r\n";
  for (int i = 0; i < 4000; ++i)
    head += "X-" + std::to_string(i) + ": " + std::string(100, 'x') + "\r\n";
  BOOST_TEST(!begins_with_status(exchange_bytes(server.port(), head), 200));
  const std::string path = "GET /" + std::string(9000, 'a') + " HTTP/1.1\r\n\r\n";
  BOOST_TEST(begins_with_status(exchange_bytes(server.port(), path), 414));
}

BOOST_AUTO_TEST_CASE(a_body_needs_exactly_one_kind_of_length) {
  const RunningServer server;
  const auto status_is_400 = [&](const std::string& rest) {
    return begins_with_status(exchange_bytes(server.port(), kHead + rest), 400);
  };
  BOOST_TEST(status_is_400("\r\n"));
  BOOST_TEST(status_is_400("Content-Length: two\r\n\r\n{}"));
  BOOST_TEST(
      status_is_400("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"));
  BOOST_TEST(begins_with_status(
      exchange_bytes(server.port(), kHead + "Content-Length: 99999999999999999999999\r\n\r\n"),
      413));
}

// What follows a request that was refused unread must not be taken for the next one.
BOOST_AUTO_TEST_CASE(a_body_that_was_not_read_is_not_a_request) {
  const RunningServer server;
  const std::string hidden = "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
  const std::string length = "Content-Length: " + std::to_string(hidden.size()) + "\r\n\r\n";
  for (const std::string line : {"GET /health HTTP/1.1\r\n", "POST /nowhere HTTP/1.1\r\n"}) {
    const auto response =
        exchange_bytes(server.port(), line + "Host: 127.0.0.1\r\n" + length + hidden);
    BOOST_TEST(response.find("HTTP/1.1", 1) == std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(answers_are_neither_compressed_nor_cut_into_ranges) {
  const RunningServer server;
  const httplib::Headers headers{{"Accept-Encoding", "gzip, br"}, {"Range", "bytes=0-3"}};
  const auto result = server.client().Post("/v1/completions", headers,
                                           completion_of("Once", 4).dump(), "application/json");
  BOOST_TEST_REQUIRE(result->status == 200);
  BOOST_TEST(!result->has_header("Content-Encoding"));
  BOOST_TEST(json::parse(result->body)["choices"].size() == 1);
}

BOOST_AUTO_TEST_CASE(a_connection_serves_many_requests) {
  const RunningServer server;
  auto client = server.client();
  client.set_keep_alive(true);
  for (int i = 0; i < 20; ++i) {
    BOOST_TEST(client.Get("/health")->status == 200);
    const auto refused = client.Post("/v1/completions", "{", "application/json");
    BOOST_TEST(refused->status == 400);
    BOOST_TEST(refused->get_header_value("Connection") != "close");
  }
}

BOOST_AUTO_TEST_CASE(connections_that_say_nothing_do_not_keep_others_out) {
  const RunningServer server;
  std::vector<std::unique_ptr<httplib::Client>> silent;
  for (int i = 0; i < 40; ++i) {
    silent.push_back(std::make_unique<httplib::Client>("127.0.0.1", server.port()));
    silent.back()->set_keep_alive(true);
    BOOST_TEST(silent.back()->Get("/health")->status == 200); // and stays connected
  }
  BOOST_TEST(server.answer("/v1/completions", completion_of("Once", 1))["choices"].size() == 1);
}

BOOST_AUTO_TEST_CASE(a_port_in_use_is_an_error_that_names_it) {
  const RunningServer server;
  gateway::ServerOptions options;
  options.listen = {"127.0.0.1", server.port()};
  options.model_name = "second";
  BOOST_CHECK_EXCEPTION(gateway::HttpServer(engine(), std::move(options), [](const auto&) {}),
                        Error, [&](const Error& error) {
                          return error.code() == Errc::io &&
                                 std::string(error.what()).find(std::to_string(server.port())) !=
                                     std::string::npos;
                        });
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::tests
