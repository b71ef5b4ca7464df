// A server whose engine has lost one of its parts: it says so everywhere, at once.
#include <boost/test/unit_test.hpp>

#include "tests/gateway/served_engine.hpp"
#include "tests/support/killable_graph.hpp"

namespace talaria::tests {

namespace {

/// The server's view of `path`.
json failure_at(const RunningServer& server, const std::string& path) {
  const auto result = server.get(path);
  BOOST_REQUIRE(result);
  BOOST_TEST(result->status == 503, path << ": " << result->body);
  return json::parse(result->body).at("error");
}

} // namespace

BOOST_AUTO_TEST_CASE(a_broken_engine_is_neither_live_nor_ready_and_requests_end) {
  RunningServer server;
  BOOST_TEST(server.get("/ready")->status == 200);
  BOOST_TEST(server.get("/health")->status == 200);

  worker_switch().set(WorkerSwitch::Mode::waiting); // the request is under way until then
  std::thread client([&] {
    const auto result = server.post("/v1/completions", completion_of("Once", 8));
    BOOST_REQUIRE(result);
    BOOST_TEST(result->status >= 500);
  });
  BOOST_TEST(server.becomes(kRunning, 1));
  kill_stage("scheduler");
  client.join();
  worker_switch().set(WorkerSwitch::Mode::honest);

  BOOST_TEST(failure_at(server, "/ready").at("code") == "engine_broken");
  BOOST_TEST(failure_at(server, "/health").at("code") == "engine_broken");
  const auto refused = server.post("/v1/completions", completion_of("Once", 8));
  BOOST_REQUIRE(refused);
  BOOST_TEST(refused->status == 503);
  BOOST_TEST(json::parse(refused->body).at("error").at("code") == "engine_broken");
  server.end();
}

} // namespace talaria::tests
