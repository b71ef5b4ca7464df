// `talaria dashboards export` writes what the source tree holds.
#include <boost/test/unit_test.hpp>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/support/process.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria {

namespace {

std::string bytes_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

} // namespace

BOOST_AUTO_TEST_CASE(dashboards_are_written_once_unless_forced) {
  const tests::TemporaryFolder folder;
  const auto to = folder.path() / "a" / "b";
  const std::vector<std::string> command{TALARIA_BIN "/talaria", "dashboards", "export", "-o",
                                         to.string()};
  const auto first = tests::run_program(command);
  BOOST_TEST_REQUIRE(first.status == 0, first.err);
  for (const char* name : {"grafana-dashboard.json", "prometheus-rules.yaml", "prometheus.yaml"}) {
    BOOST_TEST(first.out.find(name) != std::string::npos);
    const std::string written = bytes_of(to / name);
    BOOST_TEST(written.size() > 100U);
    BOOST_TEST(
        (written == bytes_of(std::filesystem::path(TALARIA_SOURCE_DIR "/cli/dashboards") / name)),
        name);
  }
  std::ofstream(to / "prometheus-rules.yaml") << "mine";
  const auto again = tests::run_program(command);
  BOOST_TEST(again.status == 2);
  BOOST_TEST(again.err.find("--force") != std::string::npos, again.err);
  BOOST_TEST(bytes_of(to / "prometheus-rules.yaml") == "mine");
  auto forced = command;
  forced.push_back("--force");
  BOOST_TEST(tests::run_program(forced).status == 0);
  BOOST_TEST(bytes_of(to / "prometheus-rules.yaml") != "mine");
}

} // namespace talaria
