// `talaria chat --url` and `talaria top` in front of endpoints that say what a test wants.
#include <boost/test/unit_test.hpp>
#include <httplib.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <thread>

#include "tests/support/eventually.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria::tests {

namespace {

/// An HTTP server on a port of its own.
class ToyEndpoint {
public:
  ToyEndpoint() {
    server.Get("/v1/models", [](const httplib::Request&, httplib::Response& response) {
      response.set_content(R"({"data":[{"id":"toy"}]})", "application/json");
    });
    port_ = server.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server.listen_after_bind(); });
    eventually([this] { return server.is_running(); });
  }
  ~ToyEndpoint() {
    server.stop();
    thread_.join();
  }
  ToyEndpoint(const ToyEndpoint&) = delete;
  ToyEndpoint& operator=(const ToyEndpoint&) = delete;

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  void answers(const std::string& path, const std::string& body, const std::string& type,
               int status = 200) {
    const auto handler = [=, this](const httplib::Request& request, httplib::Response& response) {
      asked = request.body;
      key = request.get_header_value("Authorization");
      response.status = status;
      response.set_content(body, type);
    };
    server.Get(path, handler);
    server.Post(path, handler);
  }

  httplib::Server server;
  std::string asked; ///< by the last request
  std::string key;

private:
  int port_ = 0;
  std::thread thread_;
};

const std::string kStreamed = ": wait\n\n"
                              R"(data: {"choices":[{"delta":{"role":"assistant"}}]})"
                              "\n\n"
                              R"(data: {"choices":[{"delta":{"content":"Good "}}]})"
                              "\n\n"
                              R"(data: {"choices":[{"delta":{"content":"day"}}]})"
                              "\n\n"
                              R"(data: {"choices":[{"delta":{},"finish_reason":"length"}]})"
                              "\n\n"
                              R"(data: {"choices":[],"usage":{"completion_tokens":5}})"
                              "\n\n"
                              "data: [DONE]\n\n";

Finished chat_with(const ToyEndpoint& endpoint, const std::string& input,
                   std::vector<std::string> more = {}) {
  std::vector<std::string> command{TALARIA_BIN "/talaria", "chat", "--stats", "--url",
                                   endpoint.url()};
  command.insert(command.end(), more.begin(), more.end());
  return run_program(command, input);
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_chat_streams_what_an_endpoint_says) {
  ToyEndpoint endpoint;
  endpoint.answers("/v1/chat/completions", kStreamed, "text/event-stream");
  const TemporaryFolder folder;
  const auto key_file = (folder.path() / "key").string();
  std::ofstream(key_file) << "sk-test\n";
  const auto done = chat_with(endpoint, "Hello\nAnd?\n",
                              {"--key-file", key_file, "--temperature", "0.5", "--seed", "7"});
  BOOST_TEST_REQUIRE(done.status == 0, done.err);
  BOOST_TEST(done.out == "Good day\nGood day\n");
  BOOST_TEST(has(done.err, "  5 tokens, the first after "), done.err);
  BOOST_TEST(has(done.err, "cut by the limit of tokens"), done.err);
  BOOST_TEST(endpoint.key == "Bearer sk-test");
  for (const char* part :
       {R"("model":"toy")", R"("stream":true)", R"("temperature":0.5)", R"("seed":7)",
        R"({"content":"Good day","role":"assistant"},{"content":"And?","role":"user"})"})
    BOOST_TEST(has(endpoint.asked, part), part << " in " << endpoint.asked);
}

BOOST_AUTO_TEST_CASE(a_chat_says_what_vouches_for_who_answers) {
  ToyEndpoint endpoint;
  BOOST_TEST(has(chat_with(endpoint, "/status\n").err, "NOT VERIFIED"));
  endpoint.answers(
      "/talaria/verdict",
      R"({"accepted":true,"simulated":true,"platform":"SEV-SNP","image":"v1","policy":{"name":"mine"}})",
      "application/json");
  const auto simulated = chat_with(endpoint, "/status\n").err;
  BOOST_TEST(has(simulated,
                 "SIMULATED, which proves nothing; verified by talaria connect: SEV-SNP, "
                 "image v1, policy mine"),
             simulated);
}

BOOST_AUTO_TEST_CASE(a_refused_verdict_is_told_with_its_reason) {
  ToyEndpoint endpoint;
  endpoint.answers(
      "/talaria/verdict",
      R"({"accepted":false,"check":"image","reason":"not\u001b[31m allowed","image":null})",
      "application/json");
  const auto refused = chat_with(endpoint, "/status\n").err;
  BOOST_TEST(has(refused, "REFUSED by talaria connect: not[31m allowed (image)"), refused);
}

BOOST_AUTO_TEST_CASE(what_an_endpoint_does_wrong_is_one_line) {
  const auto failure = [](const std::string& body, const std::string& type, int status) {
    ToyEndpoint endpoint;
    endpoint.answers("/v1/chat/completions", body, type, status);
    const auto done = chat_with(endpoint, "Hello\n");
    BOOST_TEST(done.status == 2, done.status);
    BOOST_TEST(std::count(done.err.begin(), done.err.end(), '\n') == 1, done.err);
    return done.err;
  };
  const auto refused = failure(R"({"error":{"message":"no such key"}})", "application/json", 401);
  BOOST_TEST(has(refused, "answers 401: no such key; give a key by --key-file"), refused);
  BOOST_TEST(has(failure("data: {\"error\":{\"message\":\"lost\"}}\n\n", "text/event-stream", 200),
                 "lost"));
  BOOST_TEST(has(failure("data: [1]\n\n", "text/event-stream", 200), "not a JSON object"));
  BOOST_TEST(
      has(failure("data: {\"choices\":[]}\n\n", "text/event-stream", 200), "ended before its end"));
}

BOOST_AUTO_TEST_CASE(top_prints_one_frame_of_what_a_gateway_tells) {
  ToyEndpoint gateway;
  const auto top = [&] {
    return run_program({TALARIA_BIN "/talaria", "top", gateway.url(), "--once"});
  };
  const auto nothing = top();
  BOOST_TEST(nothing.status == 2);
  BOOST_TEST(has(nothing.err, "answers 404"), nothing.err);
  gateway.answers(
      "/dashboard/events",
      R"(data: {"version":1,"model":"toy","program":"9","padded":true,"uptime_s":5,)"
      R"("load":{"running":1,"waiting":0,"places":8},"totals":{"generation_tokens":512},)"
      R"("masks":{"bytes":1048576,"rows_ahead":1,"rows_inline":0,"stalls":0},"links":[]})"
      "\n\n",
      "text/event-stream");
  const auto frame = top();
  BOOST_TEST_REQUIRE(frame.status == 0, frame.err);
  BOOST_TEST(frame.out.starts_with("toy  version 9, up 5.0 s\n1 of 8 running, 0 waiting"),
             frame.out);
  BOOST_TEST(has(frame.out, "masks     1.0 MiB"), frame.out);
  BOOST_TEST(!has(frame.out, "\x1b"));
  const auto no_terminal = run_program({TALARIA_BIN "/talaria", "top", gateway.url()});
  BOOST_TEST(no_terminal.status == 2);
  BOOST_TEST(has(no_terminal.err, "--once"), no_terminal.err);
}

} // namespace talaria::tests
