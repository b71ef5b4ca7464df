// How far a format's answers are from those of another, as a user of the program measures it.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/integers.hpp"
#include "tests/support/models.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria {

using nlohmann::json;
using tests::Finished;

namespace {

const std::string kShipped = tests::model_folder("talaria-tiny").string();
using Row = std::vector<double>;

Finished run(std::vector<std::string> arguments, const std::string& weights) {
  arguments.insert(arguments.begin(), TALARIA_BIN "/talaria");
  for (const char* more : {"--model", kShipped.c_str(), "--scheme", "clear", "--allow-clear",
                           "--weights", weights.c_str(), "--json"})
    arguments.emplace_back(more);
  return tests::run_program(arguments, {});
}

json told(std::vector<std::string> arguments, const std::string& weights) {
  const Finished done = run(std::move(arguments), weights);
  BOOST_TEST_REQUIRE(done.status == 0, done.err);
  return json::parse(done.out);
}

/// Log probabilities at every position but the last.
std::vector<Row> log_probabilities(const std::vector<u32>& ids, const std::string& weights) {
  std::string list;
  for (const u32 id : ids) list += std::to_string(id) + " ";
  const json rows = told({"logits", "--all", "--tokens", list}, weights).at("logits");
  std::vector<Row> out;
  for (std::size_t r = 0; r + 1 < rows.size(); ++r) {
    auto row = rows[r].get<Row>();
    double sum = 0;
    for (const double logit : row) sum += std::exp(logit);
    for (double& logit : row) logit -= std::log(sum);
    out.push_back(std::move(row));
  }
  return out;
}

std::ptrdiff_t best(const Row& row) {
  return std::max_element(row.begin(), row.end()) - row.begin();
}

std::vector<u32> text_of(const std::filesystem::path& base, std::size_t count) {
  std::ifstream in(base, std::ios::binary);
  in.seekg(8 + 3 * 4);
  std::vector<u32> out(count);
  in.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(4 * count));
  return out;
}

} // namespace

BOOST_AUTO_TEST_CASE(divergence_from_a_saved_base_is_that_of_the_logits) {
  const tests::TemporaryFolder folder;
  const auto base = folder.path() / "base";
  const std::string text = (folder.path() / "text").string();
  std::ofstream(text) << "In the beginning God created the heaven and the earth. And the earth was "
                         "without form, and void; and darkness was upon the face of the deep. ";
  const json saved =
      told({"perplexity", "--file", text, "--window", "14", "--save-base", base.string()}, "int16");
  const auto windows = saved.at("positions").get<std::size_t>() / 6; // positions 7 to 12
  BOOST_TEST_REQUIRE(windows >= 2U);
  const json got = told({"perplexity", "--base", base.string()}, "int8");

  std::vector<u32> ids = text_of(base, windows * 14);
  double divergence = 0, loss = 0, base_loss = 0, same = 0;
  for (std::size_t w = 0; w < windows; ++w) {
    std::vector<u32> window(ids.begin() + 14 * w, ids.begin() + 14 * (w + 1));
    window.front() = 4092;
    const auto p = log_probabilities(window, "int16");
    const auto q = log_probabilities(window, "int8");
    for (std::size_t i = 7; i < 13; ++i) {
      for (std::size_t t = 0; t < p[i].size(); ++t)
        divergence += std::exp(p[i][t]) * (p[i][t] - q[i][t]);
      loss -= q[i][window[i + 1]];
      base_loss -= p[i][window[i + 1]];
      same += best(p[i]) == best(q[i]) ? 1 : 0;
    }
  }
  const auto count = static_cast<double>(windows) * 6;
  const auto value = [&](const char* key) { return got.at(key).at("value").get<double>(); };
  const double mean = got.at("divergence").at("mean").at("value").get<double>();
  BOOST_TEST(got.at("positions").get<std::size_t>() == windows * 6);
  BOOST_TEST(mean > 1e-6);
  BOOST_TEST(std::abs(mean - divergence / count) < 1e-8 + 0.01 * mean,
             mean << " for " << divergence / count);
  BOOST_TEST(value("perplexity") == std::exp(loss / count), boost::test_tools::tolerance(1e-6));
  BOOST_TEST(value("base_perplexity") == std::exp(base_loss / count),
             boost::test_tools::tolerance(1e-4));
  BOOST_TEST(std::abs(value("same_top") - same / count) < 1.5 / count); // 16 bits may make a tie
}

// float64, by tests/data/references/talaria-tiny/make_base.py: it printed the perplexity.
BOOST_AUTO_TEST_CASE(int16_weights_say_what_float64_says) {
  const std::string base = (tests::kReferences / "talaria-tiny" / "float64.base").string();
  const json wide = told({"perplexity", "--base", base}, "int16");
  BOOST_TEST(wide.at("positions") == 6);
  BOOST_TEST(wide.at("base_perplexity").at("value").get<double>() == 120.828271,
             boost::test_tools::tolerance(1e-4));
  BOOST_TEST(wide.at("divergence").at("largest").get<double>() < 2e-8);
  BOOST_TEST(wide.at("same_top").at("value") == 1.0);
  const json narrow = told({"perplexity", "--base", base}, "int8");
  BOOST_TEST(narrow.at("divergence").at("mean").at("value").get<double>() > 1e-6);
}

BOOST_AUTO_TEST_CASE(bases_that_do_not_fit_are_refused) {
  const tests::TemporaryFolder folder;
  const auto refused = [&](std::vector<std::string> arguments, const std::string& culprit) {
    const Finished done = run(std::move(arguments), "int8");
    BOOST_TEST(done.status == 2, done.err);
    BOOST_TEST(done.out.empty(), done.out);
    BOOST_TEST(done.err.find(culprit) != std::string::npos, done.err);
  };
  const std::string base = (tests::kReferences / "talaria-tiny" / "float64.base").string();
  const std::string text = (folder.path() / "text").string();
  std::ofstream(text) << "In the beginning";
  refused({"perplexity"}, "--file");
  refused({"perplexity", "--file", text, "--base", base}, "--file");
  refused({"perplexity", "--base", base, "--save-base", text}, "--save-base");
  refused({"perplexity", "--base", text}, "_logits_");
  refused({"perplexity", "--base", text + "2"}, "cannot be read");
  refused({"perplexity", "--file", text, "--save-base", text + ".base"}, "do not fill a window");
  refused({"perplexity", "--file", text, "--window", "2", "--save-base", text + ".base"},
          "at least 3");
  BOOST_TEST(!std::filesystem::exists(text + ".base"));
}

BOOST_AUTO_TEST_CASE(inspect_tells_what_experts_cost) {
  const std::string mixture = tests::model_folder("qwen3_moe").string();
  const auto inspect = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {TALARIA_BIN "/talaria", "inspect", mixture});
    const Finished done = tests::run_program(more, {});
    BOOST_TEST_REQUIRE(done.status == 0, done.err);
    return done.out;
  };
  const json out = json::parse(inspect({"--json"}));
  const json experts = out.at("experts");
  u64 bytes = 0;
  for (const json& linear : out.at("linears")) {
    const auto name = linear.at("name").get<std::string>();
    if (name.ends_with("gate_up") || name.ends_with("down"))
      bytes += (linear.at("d_in").get<u64>() + linear.at("columns").get<u64>()) *
               linear.at("word_bytes").get<u64>();
  }
  BOOST_TEST(experts.at("layers") == 3);
  BOOST_TEST(experts.at("routed") == 12);
  BOOST_TEST(experts.at("chosen") == 3);
  BOOST_TEST(experts.at("products_per_row").get<u64>() ==
             4 * experts.at("chosen_products_per_row").get<u64>());
  BOOST_TEST(experts.at("batches").at(2).at("rows") == 64);
  BOOST_TEST(experts.at("batches").at(2).at("bytes").get<u64>() == 64 * bytes);
  BOOST_TEST(inspect({}).find("3 layers choose 3 of 12 experts; every row goes to all of them: 4.0 "
                              "times") != std::string::npos);
  const auto dense =
      tests::run_program({TALARIA_BIN "/talaria", "inspect", kShipped, "--json"}, {});
  BOOST_TEST(!json::parse(dense.out).contains("experts"));
}

} // namespace talaria
