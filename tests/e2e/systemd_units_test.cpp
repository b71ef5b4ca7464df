// The shipped systemd units, and those of `talaria export`, as systemd itself judges them.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/process.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria {

namespace {

const std::filesystem::path kUnits =
    std::filesystem::path(TALARIA_SOURCE_DIR) / "packaging/systemd";
const std::string kAnalyze = "/usr/bin/systemd-analyze";

std::vector<std::filesystem::path> units() {
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::directory_iterator(kUnits)) found.push_back(entry);
  std::sort(found.begin(), found.end());
  return found;
}

/// A unit with programs that exist here, since `verify` looks for them.
std::string with_programs_of_this_build(const std::filesystem::path& unit,
                                        const std::filesystem::path& folder) {
  std::ifstream in(unit);
  std::string text(std::istreambuf_iterator<char>(in), {});
  const std::string installed = "/usr/bin/talaria";
  for (auto at = text.find(installed); at != std::string::npos; at = text.find(installed, at))
    text.replace(at, installed.size(), TALARIA_BIN "/talaria");
  const auto copy = folder / unit.filename();
  std::ofstream(copy) << text;
  return copy.string();
}

/// Those that talaria export writes for the example of a fleet.
std::vector<std::filesystem::path> exported_units(const std::filesystem::path& folder) {
  const auto done = tests::run_program({TALARIA_BIN "/talaria", "export", "systemd",
                                        TALARIA_SOURCE_DIR "/examples/cluster-fleet.yaml", "-o",
                                        (folder / "units").string(), "--bin", TALARIA_BIN,
                                        "--gateway-address", "10.0.0.1"});
  BOOST_TEST_REQUIRE(done.status == 0, done.err);
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder / "units"))
    if (entry.path().extension() == ".service") found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

} // namespace

BOOST_AUTO_TEST_CASE(both_programs_have_a_unit) {
  BOOST_TEST(units().size() == 2U);
}

BOOST_AUTO_TEST_CASE(every_unit_is_understood) {
  const tests::TemporaryFolder folder;
  for (const auto& unit : units()) {
    const auto done = tests::run_program({kAnalyze, "verify", "--man=no", "--generators=no",
                                          with_programs_of_this_build(unit, folder.path())});
    BOOST_TEST(done.status == 0, done.err);
    // It goes on after settings that it does not know.
    BOOST_TEST(done.err.find(unit.filename().string()) == std::string::npos, done.err);
  }
}

BOOST_AUTO_TEST_CASE(every_unit_is_exposed_less_than_2) {
  for (const auto& unit : units()) {
    const auto done = tests::run_program(
        {kAnalyze, "security", "--offline=true", "--no-pager", "--threshold=20", unit.string()});
    BOOST_TEST(done.status == 0, done.out);
    BOOST_TEST(done.out.find("Overall exposure level") != std::string::npos, done.err);
  }
}

BOOST_AUTO_TEST_CASE(exported_units_are_understood_and_as_little_exposed) {
  const tests::TemporaryFolder folder;
  const auto found = exported_units(folder.path());
  BOOST_TEST(found.size() == 4U);
  std::vector<std::string> verify{kAnalyze, "verify", "--man=no", "--generators=no"};
  for (const auto& unit : found) verify.push_back(unit.string());
  const auto done = tests::run_program(verify);
  BOOST_TEST(done.status == 0, done.err);
  BOOST_TEST(done.err.find("talaria-") == std::string::npos, done.err);
  for (const auto& unit : found) {
    // GPUs take devices and code that the driver makes; a gateway for anybody has no filter.
    const auto judged = tests::run_program(
        {kAnalyze, "security", "--offline=true", "--no-pager", "--threshold=20", unit.string()});
    BOOST_TEST(judged.status == 0, judged.out);
  }
}

} // namespace talaria
