// `talaria plan` and what it reads of `talaria bench --calibrate`.
#include <sys/stat.h>

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/process.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria {

namespace {

const std::string kMachines = TALARIA_SOURCE_DIR "/examples/plan-gpus.yaml";

tests::Finished plan(std::vector<std::string> arguments) {
  std::vector<std::string> all{TALARIA_BIN "/talaria", "plan", kMachines, "--shape", "tiny"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return tests::run_program(all);
}

std::string written(const std::filesystem::path& file, const std::string& text) {
  std::ofstream(file) << text;
  return file.string();
}

} // namespace

BOOST_AUTO_TEST_CASE(a_trace_is_simulated_and_drawn) {
  const tests::TemporaryFolder folder;
  const std::string trace =
      written(folder.path() / "<b>.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n"
                                         "2023-11-16 18:15:46.68,374,44\n"
                                         "2023-11-16 18:15:48.68,396,20\n");
  const std::string page = (folder.path() / "plan.html").string();
  const auto done = plan({"--trace", trace, "--trace-speed", "4", "--html", page, "--json"});
  BOOST_TEST_REQUIRE(done.status == 0, done.err);
  const auto json = nlohmann::json::parse(done.out);
  BOOST_TEST(json["load"]["requests_per_second"] == 2.0); // one in half a second
  BOOST_TEST(json["load"]["prompt_tokens"] == 385);
  BOOST_TEST(json["confidential"]["simulation"]["requests"] == 2);
  struct stat told {};
  BOOST_TEST_REQUIRE(::stat(page.c_str(), &told) == 0);
  BOOST_TEST((told.st_mode & 0777U) == 0600U);
  std::ifstream stream(page);
  const std::string html(std::istreambuf_iterator<char>(stream), {});
  BOOST_TEST(html.find("&lt;b&gt;.csv") != std::string::npos);
  BOOST_TEST(html.find("<b>") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_wrong_line_or_file_is_named) {
  const tests::TemporaryFolder folder;
  const auto bad = plan({"--trace", written(folder.path() / "t.csv",
                                            "TIMESTAMP,ContextTokens,GeneratedTokens\nx\n")});
  BOOST_TEST(bad.status == 2);
  BOOST_TEST(bad.err.find("t.csv:2: has 1 columns; expected 3") != std::string::npos, bad.err);
  const auto none = plan({"--trace", (folder.path() / "none").string()});
  BOOST_TEST(none.status == 2);
  BOOST_TEST(none.err.find("none: cannot be read") != std::string::npos, none.err);
  const auto list = tests::run_program({TALARIA_BIN "/talaria", "plan", "--list-instances"});
  BOOST_TEST(list.status == 0);
  BOOST_TEST(list.out.find("azure:NCC40ads_H100_v5") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_calibration_takes_the_place_of_assumptions) {
  const tests::TemporaryFolder folder;
  const std::string file = (folder.path() / "here.json").string();
  const auto bench = tests::run_program(
      {TALARIA_BIN "/talaria", "bench", "--calibrate", "--shape", "tiny", "--layers", "2",
       "--kv-memory", "16MiB", "--rounds", "1", "--prefill", "16", "--decode", "4", "-o", file});
  BOOST_TEST_REQUIRE(bench.status == 0, bench.err);
  const auto done = plan({"--calibration", file, "--json"});
  BOOST_TEST_REQUIRE(done.status == 0, done.err);
  const auto json = nlohmann::json::parse(done.out);
  std::ifstream stream(file);
  const auto rates = nlohmann::json::parse(stream)["rates"];
  BOOST_TEST(rates.size() == 15U);
  BOOST_TEST(json["measured"].size() == rates.size());
  for (const auto& [name, value] : rates.items()) {
    BOOST_TEST(value.get<double>() > 0, name);
    BOOST_TEST(json["assumptions"][name] == value, name);
  }
  const auto two = tests::run_program({TALARIA_BIN "/talaria", "bench", "--calibrate", "--tune"});
  BOOST_TEST(two.status == 2);
}

} // namespace talaria
