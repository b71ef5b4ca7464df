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

namespace {

pid_t pid_of(const launch::Supervisor& supervisor, const std::string& name) {
  for (const auto& node : supervisor.nodes())
    if (node.name == name) return node.phase == Phase::ready ? node.pid : 0;
  return 0;
}

} // namespace

BOOST_AUTO_TEST_CASE(another_file_starts_new_nodes_and_leaves_the_others_alone) {
  add("stays", tests::kGoodNode);
  add("goes", tests::kGoodNode);
  const auto supervisor = this->supervisor();
  supervisor->start();
  supervisor->wait_until_ready();
  const pid_t stays = pid_of(*supervisor, "stays");
  const pid_t goes = pid_of(*supervisor, "goes");
  const config::WorkerNode gone = config.workers.back();
  config.workers.pop_back();
  add("comes", tests::kGoodNode);
  BOOST_TEST((supervisor->update(config) == std::vector<std::string>{"goes"}));
  BOOST_TEST_REQUIRE(tests::eventually([&] { return pid_of(*supervisor, "comes") != 0; }));
  BOOST_TEST(pid_of(*supervisor, "stays") == stays);
  BOOST_TEST(tests::is_running(goes)); // until somebody knows that nobody needs it
  supervisor->retire({"goes", "stays"});
  BOOST_TEST(tests::eventually([&] { return !tests::is_running(goes); }));
  BOOST_TEST(tests::eventually([&] { return supervisor->nodes().size() == 2U; }));
  BOOST_TEST(pid_of(*supervisor, "stays") == stays); // it is in the file
  config.workers.push_back(gone);
  BOOST_TEST(supervisor->update(config).empty());
  BOOST_TEST(tests::eventually([&] { return pid_of(*supervisor, "goes") != 0; }));
  supervisor->stop();
  for (const auto& node : supervisor->nodes()) BOOST_TEST(node.pid == 0);
}

BOOST_AUTO_TEST_CASE(nodes_whose_command_line_has_changed_start_again_in_turn) {
  const auto order = root() / "order";
  const auto body = [&](const std::string& name) {
    return "echo " + name + " begins >> " + order.string() + "\nsleep 0.1\necho " + name +
           " is ready >> " + order.string() + "\n" + tests::kGoodNode;
  };
  add("a", body("a"));
  add("b", body("b"));
  add("same", tests::kGoodNode);
  const auto supervisor = this->supervisor();
  supervisor->start();
  supervisor->wait_until_ready();
  const pid_t a = pid_of(*supervisor, "a");
  const pid_t b = pid_of(*supervisor, "b");
  const pid_t same = pid_of(*supervisor, "same");
  std::filesystem::remove(order);
  for (std::size_t i = 0; i < 2; ++i) config.workers[i].address.port = 2; // of the same scripts
  BOOST_TEST(supervisor->update(config).empty());
  BOOST_TEST_REQUIRE(tests::eventually([&] {
    const pid_t now = pid_of(*supervisor, "b");
    return now != 0 && now != b;
  }));
  BOOST_TEST(pid_of(*supervisor, "a") != a);
  BOOST_TEST(pid_of(*supervisor, "same") == same);
  BOOST_TEST(tests::text_of(order) == "a begins\na is ready\nb begins\nb is ready\n");
  supervisor->stop();
}

BOOST_AUTO_TEST_CASE(a_file_whose_new_node_cannot_start_changes_nothing) {
  add("a", tests::kGoodNode);
  const auto supervisor = this->supervisor();
  supervisor->start();
  supervisor->wait_until_ready();
  const pid_t a = pid_of(*supervisor, "a");
  config.workers[0].address.port = 2;
  add("b", tests::kGoodNode).program = root() / "missing";
  BOOST_CHECK_THROW(supervisor->update(config), Error);
  supervisor->retire({});
  BOOST_TEST(pid_of(*supervisor, "a") == a);
  BOOST_TEST(supervisor->nodes().size() == 1U);
  supervisor->stop();
}

BOOST_AUTO_TEST_SUITE_END()
