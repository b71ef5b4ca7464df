// What a launch does with its nodes when its file has changed, with processes that run.
#include <boost/test/unit_test.hpp>

#include <sys/stat.h>

#include <algorithm>
#include <atomic>

#include "cli/launch_reload.hpp"
#include "core/error.hpp"
#include "tests/launch/cluster_fixture.hpp"

namespace talaria::tests {

namespace {

struct Launched : Cluster {
  /// With nodes "stays" and "goes".
  Launched() {
    add("stays", kGoodNode);
    add("goes", kGoodNode);
    running = config;
    nodes = supervisor();
    nodes->start();
    nodes->wait_until_ready();
    reload.read_again = [this] { return config; };
    reload.tell = [this](std::string_view line) { told += std::string(line) + "\n"; };
    reload.wait = [] { return false; };
  }
  bool is_there(const std::string& name) const {
    const auto all = nodes->nodes();
    return std::any_of(all.begin(), all.end(), [&](const auto& node) { return node.name == name; });
  }
  void change() { cli::reload_nodes(running, reload, *nodes); }

  config::PipelineConfig running;
  std::unique_ptr<launch::Supervisor> nodes;
  cli::LaunchReload reload;
  std::string told;
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(launch_reload, Launched)

BOOST_AUTO_TEST_CASE(a_node_ends_when_the_gateway_has_let_go_of_it) {
  int looks = 0;
  reload.links = [&] {
    BOOST_TEST(is_there("goes"));
    return ++looks < 3 ? R"([{"name":"stays"},{"name":"goes"}])" : R"([{"name":"stays"}])";
  };
  config.workers.pop_back();
  add("comes", kGoodNode);
  change();
  BOOST_TEST(looks == 3);
  BOOST_TEST(eventually([&] { return !is_there("goes") && is_there("comes"); }));
  BOOST_TEST(is_there("stays"));
  BOOST_TEST(told == "");
}

BOOST_AUTO_TEST_CASE(a_node_that_is_needed_runs_on_while_the_file_changes_again) {
  reload.links = [] { return R"([{"name":"goes"}])"; };
  config.workers.pop_back();
  reload.wait = [this] {
    std::ofstream(config.file) << "another file, which wants it back\n";
    return false;
  };
  change();
  BOOST_TEST(is_there("goes"));
  reload.links = [] { return "no answer"; }; // nobody knows
  reload.wait = [] { return true; };         // all is to end
  change();
  BOOST_TEST(is_there("goes"));
}

BOOST_AUTO_TEST_CASE(without_a_gateway_a_node_that_has_gone_ends_at_once) {
  config.workers.pop_back();
  change();
  BOOST_TEST(eventually([&] { return !is_there("goes"); }));
}

BOOST_AUTO_TEST_CASE(what_cannot_be_read_changes_nothing) {
  config.workers.pop_back();
  reload.read_again = []() -> config::PipelineConfig { throw Error(Errc::config, "a mistake"); };
  change();
  BOOST_TEST(told.find("the nodes stay as they are: a mistake") != std::string::npos);
  reload.read_again = [this] { return config; };
  config.model = root() / "another";
  change();
  BOOST_TEST(told.find("another model") != std::string::npos);
  config.model = running.model;
  std::filesystem::remove(config.file);
  BOOST_TEST_REQUIRE(::mkfifo(config.file.c_str(), 0600) == 0);
  change(); // does not wait for a writer
  BOOST_TEST(told.find("no regular file") != std::string::npos);
  BOOST_TEST(is_there("goes"));
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::tests
