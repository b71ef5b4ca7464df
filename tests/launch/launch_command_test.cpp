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

  /// A server with an embedded worker, at `listen`.
  std::string server_file(const std::string& listen) const {
    const auto name = (path() / "server.yaml").string();
    std::ofstream(name) << "model: " TALARIA_SOURCE_DIR "/models/talaria-tiny\n"
                        << "pipeline: { threads: 1 }\nserve: { listen: '" << listen << "' }\n";
    return name;
  }

  static tests::Finished talaria(std::vector<std::string> words) {
    words.insert(words.begin(), TALARIA_BIN "/talaria");
    return tests::run_program(words);
  }
  json status() const {
    const auto finished = talaria({"status", file(), "--json"});
    BOOST_TEST_REQUIRE(finished.status == 0, finished.err);
    return json::parse(finished.out);
  }
  /// Once it says that it is running.
  static json running_status(const std::string& file) {
    json now;
    BOOST_TEST_REQUIRE(tests::eventually([&] {
      const auto finished = talaria({"status", file, "--json"});
      if (finished.status == 0) now = json::parse(finished.out);
      return now.is_object() && now["state"] == "running";
    }));
    return now;
  }
};

launch::Death death_of(launch::ChildProcess& child) {
  std::optional<launch::Death> death;
  BOOST_TEST_REQUIRE(tests::eventually([&] { return (death = child.poll_death()).has_value(); }));
  return *death;
}

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
    const json now = running_status(file());
    ::kill(gateway.pid(), signal);
    BOOST_TEST(launch::to_text(death_of(gateway)) ==
               (signal == SIGKILL ? "killed by SIGKILL" : "exit code 0"));
    for (const pid_t pid : {now["nodes"][0]["pid"], now["nodes"][1]["pid"]})
      BOOST_TEST(tests::eventually([&] { return !tests::is_running(pid); }));
  }
}

BOOST_AUTO_TEST_CASE(a_server_is_a_process_of_its_own_and_ends_with_launch) {
  const auto server = server_file("127.0.0.1:" + std::to_string(tests::free_port()));
  for (const int signal : {SIGINT, SIGTERM, SIGKILL}) {
    launch::ChildProcess launched({TALARIA_BIN "/talaria", "launch", server});
    const json now = running_status(server);
    const pid_t pid = now["server"]["pid"];
    BOOST_TEST(pid != launched.pid());
    BOOST_TEST(std::filesystem::read_symlink("/proc/" + std::to_string(pid) + "/exe").filename() ==
               "talaria-enclave");
    BOOST_TEST(now["workers"].size() == 1u); // the embedded one: the server was asked
    ::kill(launched.pid(), signal);
    BOOST_TEST(launch::to_text(death_of(launched)) ==
               (signal == SIGKILL ? "killed by SIGKILL" : "exit code 0"));
    BOOST_TEST(tests::eventually([&] { return !tests::is_running(pid); }));
  }
}

BOOST_AUTO_TEST_CASE(a_server_that_is_killed_ends_launch_with_an_error) {
  const auto server = server_file("127.0.0.1:" + std::to_string(tests::free_port()));
  launch::ChildProcess launched({TALARIA_BIN "/talaria", "launch", server});
  ::kill(running_status(server)["server"]["pid"].get<pid_t>(), SIGKILL);
  BOOST_TEST(launch::to_text(death_of(launched)) == "exit code 70");
}

BOOST_AUTO_TEST_CASE(the_error_of_a_server_is_the_error_of_launch) {
  for (const bool detached : {false, true}) {
    std::vector<std::string> words{"launch", server_file("unix:/proc/talaria/api.sock")};
    if (detached) words.emplace_back("--detach");
    const auto finished = talaria(words);
    BOOST_TEST(finished.status == 2, finished.err);
    const std::string error = "talaria: unix:/proc/talaria/api.sock: its folder";
    const std::size_t told = finished.err.find(error);
    BOOST_TEST_REQUIRE(told != std::string::npos, finished.err);
    BOOST_TEST(finished.err.find("its folder", told + error.size()) == std::string::npos,
               finished.err); // it is told once
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
