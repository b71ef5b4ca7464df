#include <boost/test/unit_test.hpp>

#include <fcntl.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "core/file_descriptor.hpp"
#include "launch/live_view.hpp"
#include "tests/launch/cluster_fixture.hpp"

using namespace talaria;
using namespace std::chrono_literals;
using launch::NodeState;
using launch::Phase;

namespace {

struct Views : tests::TemporaryFolder {
  Views() : fd(::open((path() / "out").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {}
  std::string text() const { return tests::text_of(path() / "out"); }
  FileDescriptor fd;
};

NodeState node(const std::string& name, Phase phase) {
  NodeState state;
  state.name = name;
  state.address = "127.0.0.1:7601";
  state.phase = phase;
  state.what = "weights";
  state.done = 500'000'000;
  state.total = 2'000'000'000;
  state.bytes_per_second = 1.5e9;
  state.matrices = 9;
  state.weight_bytes = 12'300'000;
  return state;
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(live_views, Views)

BOOST_AUTO_TEST_CASE(a_loading_node_shows_its_bar_its_speed_and_the_time_left) {
  const auto now = NodeState::Clock::now();
  const auto loading = node("w1", Phase::loading);
  BOOST_TEST(launch::node_line(loading, now, 120) ==
             "w1         127.0.0.1:7601    [=====               ] loading weights 25 % 1.5 GB/s, "
             "1.0 s left");
  BOOST_TEST(launch::node_line(loading, now, 80) ==
             "w1         127.0.0.1:7601    loading weights 25 % 1.5 GB/s, 1.0 s left");
  const std::string narrow = launch::node_line(loading, now, 40);
  BOOST_TEST(narrow.size() == 40u);
  BOOST_TEST(narrow.ends_with("..."));
  BOOST_TEST(launch::node_line(node("w1", Phase::ready), now, 120).find("9 matrices, 12.3 MB") !=
             std::string::npos);
  auto dead = node("w1", Phase::restarting);
  dead.restart_at = now + 2500ms;
  dead.last_death = "killed by SIGKILL";
  BOOST_TEST(launch::node_line(dead, now, 120).find("restarting in 2.5 s  killed by SIGKILL") !=
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_terminal_is_redrawn_in_place_and_events_scroll_above) {
  launch::TerminalView view(fd.get());
  view.show({node("a", Phase::loading), node("b", Phase::loading)});
  view.line("something happened");
  BOOST_TEST(text().find("\033[2Asomething happened\033[K\na ") != std::string::npos);
  view.show({node("a", Phase::ready), node("b", Phase::ready)});
  const std::size_t settled = text().size();
  view.line("later");
  BOOST_TEST(text().substr(settled) == "later\033[K\n");
}

BOOST_AUTO_TEST_CASE(a_file_gets_events_only) {
  launch::PlainView view(fd.get(), false);
  view.line("w: \033[2Jready");
  view.show({node("a", Phase::loading)});
  BOOST_TEST(text() == "w: ?[2Jready\n");
}

BOOST_AUTO_TEST_CASE(programs_get_one_object_per_change) {
  launch::JsonView view(fd.get());
  view.line("hello \xFF");
  view.show({node("a", Phase::loading), node("b", Phase::starting)});
  view.show({node("a", Phase::loading), node("b", Phase::loading)});
  view.show({node("a", Phase::ready), node("b", Phase::loading)});
  std::istringstream lines(text());
  std::string line;
  std::string seen;
  while (std::getline(lines, line)) {
    const auto event = nlohmann::json::parse(line);
    if (event["event"] == "log") seen += "log ";
    if (event["event"] == "node")
      seen += event["name"].get<std::string>() + ":" + event["state"].get<std::string>() + " ";
  }
  BOOST_TEST(seen == "log a:loading b:starting b:loading a:ready ");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_CASE(times_and_sizes_are_short) {
  BOOST_TEST(launch::time_text(400ms) == "0.4 s");
  BOOST_TEST(launch::time_text(59s) == "59 s");
  BOOST_TEST(launch::time_text(61s) == "1 min 1 s");
  BOOST_TEST(launch::time_text(std::chrono::hours(25)) == "1 d 1 h");
  BOOST_TEST(launch::bytes_text(999) == "999 B");
  BOOST_TEST(launch::bytes_text(1.25e9) == "1.2 GB");
}
