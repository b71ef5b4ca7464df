#include <boost/test/unit_test.hpp>

#include <signal.h>

#include <cstdio>
#include <string>
#include <thread>

#include "core/error.hpp"
#include "launch/child_process.hpp"
#include "launch/supervisor.hpp"
#include "tests/launch/cluster_fixture.hpp"

using namespace talaria;
using namespace std::chrono_literals;
using launch::Phase;

BOOST_FIXTURE_TEST_SUITE(supervisors, tests::Cluster)

BOOST_AUTO_TEST_CASE(nodes_become_ready_and_say_what_they_hold) {
  add("a", "echo loading >&2\n" + tests::kGoodNode);
  add("b", tests::kGoodNode);
  const auto supervisor = this->supervisor();
  supervisor->start();
  supervisor->wait_until_ready();
  const auto nodes = supervisor->nodes();
  BOOST_TEST_REQUIRE(nodes.size() == 2u);
  for (const auto& node : nodes) {
    BOOST_TEST((node.phase == Phase::ready));
    BOOST_TEST(node.matrices == 9u);
    BOOST_TEST(node.weight_bytes == 4000u);
    BOOST_TEST(tests::is_running(node.pid));
    BOOST_TEST(node.restarts == 0u);
    BOOST_TEST(node.last_death == "");
  }
  BOOST_TEST(nodes[1].name == "b");
  BOOST_TEST(log("a").find(" err     loading\n") != std::string::npos);
  BOOST_TEST(view->lines().find("b: ready after ") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(stop_leaves_no_process_behind) {
  add("polite", tests::kGoodNode);
  add("loud", std::string(tests::kReadyLine) + "\nsleep 1000 & wait\n");
  const auto supervisor = this->supervisor();
  supervisor->start();
  supervisor->wait_until_ready();
  const auto before = supervisor->nodes();
  supervisor->stop();
  for (const auto& node : before) BOOST_TEST(!tests::is_running(node.pid));
  for (const auto& node : supervisor->nodes()) {
    BOOST_TEST((node.phase == Phase::stopped));
    BOOST_TEST(node.pid == 0);
  }
}

BOOST_AUTO_TEST_CASE(a_node_that_will_not_stop_is_killed) {
  add("deaf", "trap '' TERM\n" + std::string(tests::kReadyLine) + "\nwhile :; do sleep 1; done\n");
  const auto supervisor = this->supervisor();
  supervisor->start();
  supervisor->wait_until_ready();
  const pid_t pid = supervisor->nodes()[0].pid;
  supervisor->stop();
  BOOST_TEST(!tests::is_running(pid));
  BOOST_TEST(log("deaf").find("stopped: killed by SIGKILL") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_session_is_ended_by_closing_it) {
  auto& node = add("far", "trap '' TERM\n" + std::string(tests::kReadyLine) +
                              "\ncat >/dev/null\necho input ended >&2\n");
  node.start = config::WorkerNode::Start::ssh;
  config.launch.ssh = "sh -c {command}";
  const auto supervisor = this->supervisor();
  supervisor->start();
  supervisor->wait_until_ready();
  supervisor->stop();
  BOOST_TEST(log("far").find("err     input ended") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_supervisor_that_is_killed_leaves_no_process_behind) {
  // Neither reads its standard input, so that only the kernel can end them.
  const auto sleeper = script("sleeper", std::string(tests::kReadyLine) + "\nexec sleep 1000\n");
  launch::ChildProcess helper(
      {LAUNCH_HELPER, "supervise", root().string(), sleeper.string(), sleeper.string()});
  std::string text;
  BOOST_REQUIRE(tests::eventually([&] {
    char buffer[256];
    const ssize_t count = ::read(helper.out().get(), buffer, sizeof buffer);
    if (count > 0) text.append(buffer, static_cast<std::size_t>(count));
    return std::count(text.begin(), text.end(), '\n') == 2;
  }));
  int first = 0;
  int second = 0;
  BOOST_REQUIRE(std::sscanf(text.c_str(), "%d\n%d", &first, &second) == 2);
  BOOST_TEST(tests::is_running(first));
  BOOST_TEST(tests::is_running(second));
  ::kill(helper.pid(), SIGKILL);
  BOOST_TEST(tests::eventually([&] { return !tests::is_running(first); }));
  BOOST_TEST(tests::eventually([&] { return !tests::is_running(second); }));
}

BOOST_AUTO_TEST_CASE(progress_is_shown_as_it_comes) {
  add("w", R"(echo '{"event":"progress","what":"weights","done":25,"total":100}')"
           "\nread line\n" +
               tests::kGoodNode);
  const auto supervisor = this->supervisor();
  supervisor->start();
  BOOST_TEST(tests::eventually([&] { return supervisor->nodes()[0].phase == Phase::loading; }));
  const auto state = supervisor->nodes()[0];
  BOOST_TEST(launch::describe(state, launch::NodeState::Clock::now()) == "loading weights 25 %");
  BOOST_TEST(log("w").find("talaria weights: 100 B") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(stopping_ends_the_wait_for_readiness) {
  add("slow", "exec cat >/dev/null\n");
  const auto supervisor = this->supervisor();
  supervisor->start();
  std::thread interrupt([&] {
    tests::eventually([&] { return supervisor->nodes()[0].pid != 0; });
    supervisor->request_stop();
  });
  BOOST_CHECK_EXCEPTION(supervisor->wait_until_ready(), Error,
                        [](const Error& error) { return error.code() == Errc::cancelled; });
  interrupt.join();
  supervisor->stop();
  supervisor->stop(); // a second time is harmless
  BOOST_TEST(supervisor->nodes()[0].pid == 0);
}

BOOST_AUTO_TEST_CASE(a_supervisor_that_was_never_started_ends_quietly) {
  add("w", tests::kGoodNode);
  const auto supervisor = this->supervisor();
  supervisor->stop();
  BOOST_TEST(!std::filesystem::exists(config.launch.logs));
}

BOOST_AUTO_TEST_CASE(without_nodes_everything_is_ready) {
  const auto supervisor = this->supervisor();
  supervisor->start();
  supervisor->wait_until_ready();
  BOOST_TEST(supervisor->nodes().empty());
}

BOOST_AUTO_TEST_SUITE_END()
