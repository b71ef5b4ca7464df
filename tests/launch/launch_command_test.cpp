#include <boost/test/unit_test.hpp>

#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "launch/child_process.hpp"
#include "tests/launch/cluster_fixture.hpp"
#include "tests/support/free_port.hpp"
#include "tests/support/process.hpp"

using namespace talaria;
using nlohmann::json;

namespace {

/// The shipped model on two workers of this machine, as users start it.
struct LocalCluster : tests::TemporaryFolder {
  LocalCluster() {
    ::setenv("XDG_RUNTIME_DIR", path().c_str(), 1);
    const auto made =
        talaria({"certs", "init", (path() / "certs").string(), "--hosts", "127.0.0.1"});
    BOOST_TEST_REQUIRE(made.status == 0, made.err);
    std::ofstream(file()) << "model: " TALARIA_SOURCE_DIR "/models/talaria-tiny\n"
                          << "workers:\n"
                          << worker("first", "0-2") << worker("second", "3-5")
                          << "tls: { ca: certs/ca.pem, cert: certs/enclave.pem, key: "
                             "certs/enclave.key }\n"
                          << "launch: { backoff: { first: 20ms } }\n";
  }
  ~LocalCluster() { talaria({"stop", file()}); }

  static std::string worker(const std::string& name, const std::string& layers) {
    return "  - { name: " + name + ", address: \"127.0.0.1:" + std::to_string(tests::free_port()) +
           "\", layers: " + layers + ", threads: 1 }\n";
  }
  std::string file() const { return (path() / "cluster.yaml").string(); }

  static tests::Finished talaria(std::vector<std::string> words) {
    words.insert(words.begin(), TALARIA_BIN "/talaria");
    return tests::run_program(words);
  }
  json status() const {
    const auto finished = talaria({"status", file(), "--json"});
    BOOST_TEST_REQUIRE(finished.status == 0, finished.err);
    return json::parse(finished.out);
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(launch_commands, LocalCluster)

BOOST_AUTO_TEST_CASE(a_dry_run_prints_the_plan_and_starts_nothing) {
  const auto finished = talaria({"launch", file(), "--dry-run", "--json"});
  BOOST_TEST_REQUIRE(finished.status == 0, finished.err);
  const auto plan = json::parse(finished.out);
  BOOST_TEST(plan["nodes"].size() == 2u);
  BOOST_TEST(plan["round_trips_per_token"] == 25);
  BOOST_TEST(talaria({"status", file()}).status == 4);
}

BOOST_AUTO_TEST_CASE(a_detached_cluster_lives_until_it_is_stopped) {
  const auto launched = talaria({"launch", file(), "--detach"});
  BOOST_TEST_REQUIRE(launched.status == 0, launched.err);
  auto now = status();
  BOOST_TEST(now["state"] == "running");
  const pid_t victim = now["nodes"][1]["pid"];
  const auto again = talaria({"launch", file()});
  BOOST_TEST(again.status == 2);
  BOOST_TEST(again.err.find("is running already (pid " + now["pid"].dump()) != std::string::npos);

  ::kill(victim, SIGKILL);
  BOOST_TEST(tests::eventually([&] {
    now = status();
    return now["nodes"][1]["state"] == "ready" && now["nodes"][1]["pid"] != victim;
  }));
  BOOST_TEST(now["nodes"][1]["last_death"].get<std::string>().starts_with("killed by SIGKILL"));

  BOOST_TEST(talaria({"stop", file()}).status == 0);
  for (const pid_t pid : {now["pid"], now["nodes"][0]["pid"], now["nodes"][1]["pid"]})
    BOOST_TEST(!tests::is_running(pid));
  BOOST_TEST(talaria({"status", file()}).status == 4);
}

BOOST_AUTO_TEST_CASE(a_signal_ends_a_cluster_in_the_foreground_and_leaves_nothing) {
  for (const int signal : {SIGINT, SIGTERM, SIGKILL}) {
    launch::ChildProcess gateway({TALARIA_BIN "/talaria", "launch", file()});
    json now;
    BOOST_TEST_REQUIRE(tests::eventually([&] {
      const auto finished = talaria({"status", file(), "--json"});
      if (finished.status == 0) now = json::parse(finished.out);
      return now.is_object() && now["state"] == "running";
    }));
    ::kill(gateway.pid(), signal);
    std::optional<launch::Death> death;
    BOOST_TEST_REQUIRE(
        tests::eventually([&] { return (death = gateway.poll_death()).has_value(); }));
    BOOST_TEST(launch::to_text(*death) ==
               (signal == SIGKILL ? "killed by SIGKILL" : "exit code 0"));
    for (const pid_t pid : {now["nodes"][0]["pid"], now["nodes"][1]["pid"]})
      BOOST_TEST(tests::eventually([&] { return !tests::is_running(pid); }));
  }
}

BOOST_AUTO_TEST_CASE(the_error_of_a_detached_launch_is_the_error_of_the_command) {
  std::filesystem::copy_file(path() / "certs/enclave.key", path() / "certs/127.0.0.1.key",
                             std::filesystem::copy_options::overwrite_existing);
  const auto launched = talaria({"launch", file(), "--detach"});
  BOOST_TEST(launched.status == 4);
  BOOST_TEST(launched.err.find("did not start: exit code 2; last words: ") != std::string::npos);
  BOOST_TEST(talaria({"status", file()}).status == 4);
}

BOOST_AUTO_TEST_SUITE_END()
