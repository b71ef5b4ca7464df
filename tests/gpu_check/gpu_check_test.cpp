#include "gpu_check/run.hpp"

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "core/error.hpp"
#include "gpu_check/equality.hpp"
#include "gpu_check/timings.hpp"
#include "tests/cuda/fake_runtime.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria::gpu_check {

namespace {

using kernels::cuda::test::Faults;
using kernels::cuda::test::Runtime;

struct WithFaults {
  WithFaults() = default;
  ~WithFaults() { Runtime::get().faults = {}; }
  Faults* operator->() { return &Runtime::get().faults; }
};

std::string content(const std::string& path) {
  std::ifstream file(path);
  std::stringstream all;
  all << file.rdbuf();
  return all.str();
}

/// A report in a folder of its own, and what a section needs, with very little to do.
struct Site {
  explicit Site(double seconds = 600) : budget(seconds) {
    context.workload.most_multiplications = 20'000;
    context.workload.every_rows = 3;
    context.workload.rows = {1, 300};
    context.workload.matrices = {{"small", 128, 192}};
  }
  nlohmann::json read() const { return nlohmann::json::parse(content(json)); }

  tests::TemporaryFolder folder;
  std::string json = folder.path() / "check.json";
  std::string log = folder.path() / "check.log";
  Report report{log, json};
  Budget budget;
  ThreadTeam team{2};
  Context context{
      report, budget, team, Workload::fake(), remo::kDefaultParameters, 0, std::size_t{64} << 20};
};

Options parse(std::vector<const char*> words) {
  words.insert(words.begin(), "gpu_check");
  return parse_options(static_cast<int>(words.size()), words.data());
}

} // namespace

BOOST_AUTO_TEST_CASE(json_is_what_it_says) {
  Json json = Json::object();
  json.set("text", "quote \" slash \\ line\n bytes \xff\x01")
      .set("number", 0.1)
      .set("none", 1.0 / 0.0)
      .set("large", i64{-9007199254740993})
      .set("truth", true)
      .set("list", Json::array().push(1).push(Json::object().set("a", Json())))
      .set("empty", Json::object());
  json.set("number", 0.25);
  const auto read = nlohmann::json::parse(json.text());
  BOOST_TEST(read["text"] == "quote \" slash \\ line\n bytes \u00ff\u0001");
  BOOST_TEST(read["number"] == 0.25);
  BOOST_TEST(read["none"].is_null());
  BOOST_TEST(read["large"] == i64{-9007199254740993});
  BOOST_TEST(read["truth"] == true);
  BOOST_TEST(read["list"][1]["a"].is_null());
  BOOST_TEST(read["empty"].is_object());
  BOOST_TEST(read.size() == 7U);
}

BOOST_AUTO_TEST_CASE(both_files_are_complete_after_every_entry) {
  Site site;
  for (int n = 0; n < 20; ++n) {
    site.report.add("list", Json::object().set("n", n));
    site.report.print("line %d", n);
    BOOST_TEST(site.read()["list"].size() == static_cast<std::size_t>(n) + 1);
    BOOST_TEST(content(site.log).ends_with("line " + std::to_string(n) + "\n"));
  }
  BOOST_TEST(site.read()["state"] == "running");
}

BOOST_AUTO_TEST_CASE(a_report_that_cannot_be_written_is_refused_at_once) {
  BOOST_CHECK_THROW(Report("", "/proc/none/check.json"), Error);
  BOOST_CHECK_THROW(Report("/proc/none/check.log", ""), Error);
}

BOOST_AUTO_TEST_CASE(options_are_read_or_named) {
  const Options options = parse({"--seconds", "60", "--device", "1", "--only", "timings"});
  BOOST_TEST(options.seconds == 60);
  BOOST_TEST(options.device == 1);
  BOOST_TEST(options.only == "timings");
  for (const std::vector<const char*>& wrong : {std::vector<const char*>{"--seconds", "0"},
                                                {"--seconds", "6x"},
                                                {"--only", "nothing"},
                                                {"--json"},
                                                {"--what", "1"},
                                                {"--device", "-1"}})
    BOOST_CHECK_EXCEPTION(parse(wrong), Error, [&](const Error& error) {
      return error.code() == Errc::usage &&
             std::string(error.what()).find(wrong[0]) != std::string::npos;
    });
}

BOOST_AUTO_TEST_CASE(everything_is_equal_on_a_device_that_works) {
  tests::TemporaryFolder folder;
  Options options;
  options.json = folder.path() / "check.json";
  BOOST_TEST(run(options) == kExitEqual);
  const auto read = nlohmann::json::parse(content(options.json));
  BOOST_TEST(read["state"] == "complete");
  BOOST_TEST(read["summary"]["equal"] == true);
  BOOST_TEST(!read.contains("failures"));
  BOOST_TEST(!read.contains("not_run"));
  std::set<std::string> kinds;
  for (const auto& entry : read["equality"]) kinds.insert(entry["kind"].get<std::string>());
  const std::set<std::string> wanted = {"self_check", "residues", "switched",        "hint", "int8",
                                        "int16",      "float32",  "extremes",        "cuts", "jobs",
                                        "large",      "rounded",  "rounded_switched"};
  BOOST_TEST(kinds == wanted, boost::test_tools::per_element());
  for (const char* list : {"copies", "steps", "worker", "hints", "sums", "offers", "graphs"})
    BOOST_TEST(!read[list].empty(), list);
}

BOOST_AUTO_TEST_CASE(each_comparison_finds_wrong_sums) {
  using Section = void (*)(Context&);
  for (const Section section : {compare_products, compare_jobs, compare_large}) {
    Site site;
    WithFaults faults;
    faults->wrong_outside_self_checks = true;
    section(site.context);
    BOOST_TEST(site.report.different() > 0U);
    // float32 products are right, and so is nothing else.
    for (const auto& entry : site.read()["equality"])
      BOOST_TEST((entry["different"] == 0) == (entry["kind"] == "float32"), entry.dump());
  }
}

BOOST_AUTO_TEST_CASE(a_device_that_fails_its_self_check_is_named) {
  Site site;
  WithFaults faults;
  faults->wrong_sums = true;
  self_check(site.context);
  BOOST_TEST(site.report.failures() == remo::kAcceptedParameters.size());
  BOOST_TEST(site.read()["failures"][0]["why"].get<std::string>().find("cuda:0 fake") !=
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_call_that_fails_is_reported_and_the_next_part_runs) {
  tests::TemporaryFolder folder;
  Options options;
  options.json = folder.path() / "check.json";
  WithFaults faults;
  faults->failing_products = true;
  BOOST_TEST(run(options) == kExitDifferent);
  const auto read = nlohmann::json::parse(content(options.json));
  BOOST_TEST(read["state"] == "complete");
  BOOST_TEST(read["summary"]["equal"] == false);
  BOOST_TEST(!read["copies"].empty()); // which need no products
}

BOOST_AUTO_TEST_CASE(a_device_that_is_lost_ends_the_run) {
  tests::TemporaryFolder folder;
  Options options;
  options.json = folder.path() / "check.json";
  WithFaults faults;
  faults->stray_kernel = true; // found when it is asked whether a job is ready
  BOOST_TEST(run(options) == kExitDifferent);
  const auto read = nlohmann::json::parse(content(options.json));
  BOOST_TEST(read["state"] == "device lost");
  BOOST_TEST(read["summary"]["products"] > 0);
  BOOST_TEST(!read.contains("copies"));
}

BOOST_AUTO_TEST_CASE(comparisons_that_were_not_made_are_counted) {
  Site site(-1); // no time at all
  compare_products(site.context);
  compare_jobs(site.context);
  compare_large(site.context);
  time_steps(site.context);
  BOOST_TEST(site.report.products() == 0U);
  BOOST_TEST(site.report.failures() == 0U);
  // All sets, the other kinds, the cuts; jobs; rows of the matrix, and those of its hint.
  BOOST_TEST(site.report.left_out() == remo::kAcceptedParameters.size() + 1 + 1 + 1 + 3);
  BOOST_TEST(site.read()["not_run"].size() > site.report.left_out());
}

} // namespace talaria::gpu_check
