#include "cli/tuning.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <filesystem>

#include "core/error.hpp"
#include "settings/resolve.hpp"
#include "tests/support/models.hpp"

namespace talaria::cli {

namespace {

/// How fast made-up settings are: best at 4 micro-batches of 64 rows on 2 threads.
double speed(const TunedSettings& s) {
  const auto off = [](double value, double best) { return std::abs(std::log2(value / best)); };
  return std::exp2(-off(s.micro_batches, 4) - off(s.max_rows, 64) -
                   off(static_cast<double>(s.threads), 2));
}

Comparison faster(const TunedSettings& best, const TunedSettings& candidate) {
  const double gain = speed(candidate) / speed(best);
  return {gain, gain > 1 ? 1.0 : 0.0, {}};
}

constexpr TunedSettings kStart{1, 512, 128, 0, 1};

} // namespace

BOOST_AUTO_TEST_SUITE(tuning)

BOOST_AUTO_TEST_CASE(the_search_ends_at_the_top_of_a_hill) {
  std::vector<Trial> trials;
  const Tuning found =
      tune(kStart, 8, faster, [&trials](const Trial& trial) { trials.push_back(trial); });
  BOOST_TEST(found.best.micro_batches == 4U);
  BOOST_TEST(found.best.max_rows == 64U);
  BOOST_TEST(found.best.threads == 2U);
  BOOST_TEST(found.best.prefill_chunk == kStart.prefill_chunk); // makes no difference, stays
  TunedSettings begin = kStart;
  begin.threads = 8;
  BOOST_TEST(found.gain == speed(found.best) / speed(begin), boost::test_tools::tolerance(1e-9));
  BOOST_TEST(trials.size() < 40U);
  BOOST_TEST(trials.back().setting == "all together");
}

BOOST_AUTO_TEST_CASE(a_search_that_went_astray_ends_where_it_began) {
  // Every step looks good, and all of them together are not.
  const auto astray = [](const TunedSettings& best, const TunedSettings& candidate) {
    const bool at_the_end = candidate.micro_batches == 8 && best.micro_batches == 1;
    const bool up = candidate.micro_batches > best.micro_batches;
    return Comparison{!at_the_end && up ? 1.1 : 0.9, 1, {}};
  };
  const Tuning found = tune(kStart, 1, astray, [](const Trial&) {});
  BOOST_TEST(found.best.micro_batches == kStart.micro_batches);
  BOOST_TEST(found.gain == 1.0);
}

BOOST_AUTO_TEST_CASE(what_is_within_the_noise_changes_nothing) {
  // Too little, or a lot in hardly more than half of the rounds.
  const auto noise = [](const TunedSettings& best, const TunedSettings& candidate) {
    return Comparison{candidate.max_rows > best.max_rows ? 1.5 : 1.015,
                      candidate.max_rows > best.max_rows ? 0.6 : 1.0,
                      {}};
  };
  TunedSettings expected = kStart;
  expected.threads = 4;
  const Tuning found = tune(kStart, 4, noise, [](const Trial& trial) { BOOST_TEST(!trial.kept); });
  BOOST_TEST((found.best == expected));
  BOOST_TEST(found.gain == 1.0);
}

BOOST_AUTO_TEST_CASE(nothing_is_compared_twice_and_no_more_threads_asked_than_cores) {
  std::vector<std::pair<TunedSettings, TunedSettings>> asked;
  tune(
      kStart, 3,
      [&](const TunedSettings& best, const TunedSettings& candidate) {
        const std::pair pair(best, candidate);
        BOOST_TEST(!(best == candidate));
        BOOST_TEST((std::find(asked.begin(), asked.end(), pair) == asked.end()));
        asked.push_back(pair);
        BOOST_TEST(candidate.threads <= 3U);
        BOOST_TEST(candidate.pool_threads <= 3U);
        return faster(best, candidate);
      },
      [](const Trial&) {});
  BOOST_TEST(asked.size() > 5U);
}

BOOST_AUTO_TEST_CASE(settings_that_cannot_be_had_are_passed_over) {
  const auto refuse_few_rows = [](const TunedSettings& best, const TunedSettings& candidate) {
    if (candidate.max_rows < 256) throw Error(Errc::usage, "too few for the padding");
    return faster(best, candidate);
  };
  BOOST_TEST(tune(kStart, 2, refuse_few_rows, [](const Trial&) {}).best.max_rows == 256U);
  const auto broken = [](const TunedSettings&, const TunedSettings&) -> Comparison {
    throw Error(Errc::no_worker, "gone");
  };
  BOOST_CHECK_THROW(tune(kStart, 2, broken, [](const Trial&) {}), Error);
}

BOOST_AUTO_TEST_CASE(the_fragment_is_read_back_as_part_of_a_pipeline_file) {
  const TunedSettings settings{3, 96, 48, 2, 4};
  const std::string yaml = to_yaml(settings, "a comment\nof two lines: no");
  const auto model = tests::model_folder("talaria-tiny").string();
  const auto config =
      settings::parse_pipeline_config("model: " + model + "\n" + yaml, "tuned.yaml");
  BOOST_TEST(config.pipeline.micro_batches == 3U);
  BOOST_TEST(config.pipeline.max_rows == 96U);
  BOOST_TEST(config.pipeline.prefill_chunk == 48U);
  BOOST_TEST(config.pipeline.threads == 2U);
  BOOST_TEST(config.masking.pool_threads == 4U);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::cli
