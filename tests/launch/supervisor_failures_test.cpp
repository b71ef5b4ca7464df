#include <boost/test/unit_test.hpp>

#include <signal.h>

#include <string>

#include "core/error.hpp"
#include "launch/supervisor.hpp"
#include "tests/launch/cluster_fixture.hpp"

using namespace talaria;
using namespace std::chrono_literals;
using launch::Phase;

namespace {

struct Failures : tests::Cluster {
  /// The message of wait_until_ready's error.
  std::string complaint(launch::Supervisor& supervisor) {
    supervisor.start();
    try {
      supervisor.wait_until_ready();
    } catch (const Error& error) {
      BOOST_TEST((error.code() == Errc::no_worker));
      return error.what();
    }
    return {};
  }
  /// A script that does `first` in its first life and `then` in all later ones.
  std::string first_time(const std::string& first, const std::string& then) const {
    const std::string marker = (root() / "was-here").string();
    return "if [ ! -e '" + marker + "' ]; then touch '" + marker + "'\n" + first + "\nfi\n" + then;
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(supervisor_failures, Failures)

BOOST_AUTO_TEST_CASE(a_node_that_dies_is_started_again_and_the_log_says_why) {
  add("w", first_time(std::string(tests::kReadyLine) + "\necho out of luck >&2\nkill -BUS $$",
                      tests::kGoodNode));
  const auto supervisor = this->supervisor();
  supervisor->start();
  BOOST_TEST(tests::eventually([&] {
    const auto node = supervisor->nodes()[0];
    return node.phase == Phase::ready && node.restarts == 1;
  }));
  BOOST_TEST(supervisor->nodes()[0].last_death == "killed by SIGBUS; last words: out of luck");
  BOOST_TEST(view->lines().find("w: died after ") != std::string::npos);
  BOOST_TEST(view->lines().find(": killed by SIGBUS; last words: out of luck; restart 1 of 2 in "
                                "20ms\n") != std::string::npos);
  BOOST_TEST(log("w").find("killed by SIGBUS; last words: out of luck; restart 1 of 2") !=
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_node_that_is_killed_from_outside_comes_back_under_another_pid) {
  add("w", tests::kGoodNode);
  const auto supervisor = this->supervisor();
  supervisor->start();
  supervisor->wait_until_ready();
  const pid_t first = supervisor->nodes()[0].pid;
  ::kill(first, SIGKILL);
  BOOST_TEST(tests::eventually([&] {
    const auto node = supervisor->nodes()[0];
    return node.phase == Phase::ready && node.pid != first;
  }));
  BOOST_TEST(supervisor->nodes()[0].last_death == "killed by SIGKILL");
}

BOOST_AUTO_TEST_CASE(restarts_slow_down_and_have_a_limit) {
  config.launch.restarts = 3;
  add("w", "echo no memory >&2\nexit 1\n");
  const auto supervisor = this->supervisor();
  const std::string found = complaint(*supervisor);
  BOOST_TEST(found == "worker 'w' at localhost:1 did not start: exit code 1; last words: no "
                      "memory; see " +
                          (root() / "logs/w.log").string());
  BOOST_TEST(supervisor->nodes()[0].restarts == 3u);
  for (const char* line : {"restart 1 of 3 in 20ms\n", "restart 2 of 3 in 40ms\n",
                           "restart 3 of 3 in 50ms\n", "given up after 3 restarts\n"})
    BOOST_TEST(view->lines().find(line) != std::string::npos, "no line " << line);
}

BOOST_AUTO_TEST_CASE(a_mistake_that_stays_is_not_tried_again) {
  add("w", R"(echo '{"event":"error","message":"layers 0-9: the model has 6"}')"
           "\necho more >&2\nexit 2\n");
  const auto supervisor = this->supervisor();
  const std::string found = complaint(*supervisor);
  BOOST_TEST(found.find(": exit code 2; last words: layers 0-9: the model has 6; see ") !=
             std::string::npos);
  BOOST_TEST(supervisor->nodes()[0].restarts == 0u);
  BOOST_TEST(view->lines().find("another try would end the same way") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_node_that_once_was_ready_is_tried_again_whatever_its_exit_code) {
  add("w", first_time(std::string(tests::kReadyLine) + "\nexit 2", tests::kGoodNode));
  const auto supervisor = this->supervisor();
  supervisor->start();
  BOOST_TEST(tests::eventually([&] {
    const auto node = supervisor->nodes()[0];
    return node.phase == Phase::ready && node.restarts == 1;
  }));
}

BOOST_AUTO_TEST_CASE(a_node_that_served_for_a_while_has_all_its_restarts_again) {
  config.launch.restarts = 1;
  config.launch.backoff_first = config.launch.backoff_max = 20ms;
  add("w", tests::kGoodNode);
  const auto supervisor = this->supervisor();
  supervisor->start();
  for (u32 death = 0; death < 3; ++death) {
    BOOST_TEST_REQUIRE(tests::eventually([&] {
      const auto node = supervisor->nodes()[0];
      return node.phase == Phase::ready && node.restarts == death;
    }));
    std::this_thread::sleep_for(2 * config.launch.backoff_max); // it serves
    ::kill(supervisor->nodes()[0].pid, SIGKILL);
  }
}

BOOST_AUTO_TEST_CASE(a_program_that_is_no_program_is_named) {
  auto& node = add("w", "");
  std::filesystem::permissions(node.program, std::filesystem::perms::owner_read);
  const auto supervisor = this->supervisor();
  const std::string found = complaint(*supervisor);
  BOOST_TEST(found.find("w.sh' cannot be started: Permission denied") != std::string::npos, found);
}

BOOST_AUTO_TEST_CASE(a_node_that_never_becomes_ready_is_ended) {
  config.launch.ready = 2s; // for a shell to say a word
  add("w", "echo still thinking >&2\nexec sleep 1000\n");
  const auto supervisor = this->supervisor();
  const std::string found = complaint(*supervisor);
  BOOST_TEST(found.find("not ready within 2s (launch.ready), ended by talaria; last words: "
                        "still thinking") != std::string::npos,
             found);
  BOOST_TEST(supervisor->nodes()[0].pid == 0);
}

BOOST_AUTO_TEST_CASE(a_failure_of_one_node_ends_nothing_but_the_wait) {
  add("good", tests::kGoodNode);
  add("bad", "exit 3\n");
  const auto supervisor = this->supervisor();
  BOOST_TEST(complaint(*supervisor).find("worker 'bad'") != std::string::npos);
  BOOST_TEST(tests::eventually([&] { return supervisor->nodes()[0].phase == Phase::ready; }));
}

BOOST_AUTO_TEST_CASE(a_flood_of_output_starves_nobody) {
  add("flood", std::string(tests::kReadyLine) + "\nexec yes 'much ado'\n");
  add("calm", tests::kGoodNode);
  const auto supervisor = this->supervisor();
  supervisor->start();
  supervisor->wait_until_ready();
  BOOST_TEST(tests::eventually(
      [&] { return log("flood").find("out     much ado\n") != std::string::npos; }));
  const pid_t pid = supervisor->nodes()[0].pid;
  supervisor->stop();
  BOOST_TEST(!tests::is_running(pid));
}

BOOST_AUTO_TEST_SUITE_END()
