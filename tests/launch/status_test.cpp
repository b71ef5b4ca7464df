#include <boost/test/unit_test.hpp>

#include <nlohmann/json.hpp>
#include <string>

#include "core/error.hpp"
#include "launch/status.hpp"
#include "tests/launch/cluster_fixture.hpp"

using namespace talaria;
using namespace std::chrono_literals;
using launch::ClusterStatus;
using launch::NodeState;
using launch::Phase;

namespace {

ClusterStatus sample() {
  NodeState ready;
  ready.name = "a";
  ready.address = "127.0.0.1:7601";
  ready.phase = Phase::ready;
  ready.pid = 4711;
  ready.started = NodeState::Clock::now() - 65s;
  ready.restarts = 2;
  ready.last_death = "killed by SIGKILL";
  NodeState failed;
  failed.name = "b";
  failed.phase = Phase::failed;
  ClusterStatus status;
  status.file = "p.yaml";
  status.state = "running";
  status.uptime = 3700s;
  status.serve = "127.0.0.1:8000";
  status.logs = "logs";
  status.nodes = {ready, failed};
  status.workers =
      R"([{"name":"a","state":"connected","round_trip_ms":0.125,"in_flight":3,"strikes":0,"attestation":"until 2026-11-30T12:00:00Z"}])";
  return status;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_status_is_one_line_of_json_with_all_there_is_to_know) {
  const std::string text = launch::to_json(sample());
  BOOST_TEST(text.find('\n') == std::string::npos);
  const auto status = nlohmann::json::parse(text);
  BOOST_TEST(status["state"] == "running");
  BOOST_TEST(status["pid"] == ::getpid());
  BOOST_TEST(status["uptime_s"] == 3700.0);
  BOOST_TEST(status["serve"] == "127.0.0.1:8000");
  BOOST_TEST(status["nodes"][0]["pid"] == 4711);
  BOOST_TEST(status["nodes"][0]["restarts"] == 2);
  BOOST_TEST(status["nodes"][0]["uptime_s"].get<double>() >= 65.0);
  BOOST_TEST(status["nodes"][0]["last_death"] == "killed by SIGKILL");
  BOOST_TEST(status["nodes"][1]["pid"].is_null());
  BOOST_TEST(status["workers"][0]["in_flight"] == 3);
  BOOST_TEST(status["server"].is_null());
}

BOOST_AUTO_TEST_CASE(a_status_names_the_process_that_serves) {
  ClusterStatus status = sample();
  status.server_pid = 4712;
  const std::string json = launch::to_json(status);
  BOOST_TEST(nlohmann::json::parse(json)["server"]["pid"] == 4712);
  BOOST_TEST(launch::status_text(json).find(", serving on 127.0.0.1:8000 with pid 4712\n") !=
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_status_is_two_tables_for_people) {
  const std::string text = launch::status_text(launch::to_json(sample()));
  BOOST_TEST(text.find("p.yaml: running, pid ") == 0u);
  BOOST_TEST(text.find(", up 1 h 1 min, serving on 127.0.0.1:8000\nlogs in logs\n") !=
             std::string::npos);
  const std::string begin = "\na     127.0.0.1:7601  ready   4711  2         1 min ";
  const auto found = text.find(begin);
  BOOST_TEST_REQUIRE(found != std::string::npos, text);
  std::size_t digits = 0;
  const int seconds = std::stoi(text.substr(found + begin.size()), &digits);
  BOOST_TEST((seconds >= 5 && seconds < 60)); // of a clock that goes on
  BOOST_TEST(text.substr(found + begin.size() + digits).find(" s  killed by SIGKILL\n") == 0u,
             text);
  BOOST_TEST(
      text.find("\na     connected  until 2026-11-30T12:00:00Z  0.12           3          0\n") !=
          std::string::npos,
      text);
}

BOOST_AUTO_TEST_CASE(links_that_are_no_list_and_words_that_are_no_text_do_no_harm) {
  ClusterStatus status = sample();
  status.workers = "not json";
  status.nodes[1].last_death = "\xFF\033[2J";
  const std::string json = launch::to_json(status);
  BOOST_TEST(nlohmann::json::parse(json)["workers"].empty());
  BOOST_TEST(launch::status_text(json).find('\033') == std::string::npos);
  BOOST_CHECK_THROW(launch::status_text("hello"), Error);
}

BOOST_AUTO_TEST_CASE(a_cluster_without_nodes_has_no_tables) {
  ClusterStatus status;
  status.file = "p.yaml";
  status.state = "starting";
  const std::string text = launch::status_text(launch::to_json(status));
  BOOST_TEST(std::count(text.begin(), text.end(), '\n') == 2);
}
