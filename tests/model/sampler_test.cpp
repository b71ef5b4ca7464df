#include "model/sampler.hpp"

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "core/error.hpp"

using namespace talaria;
using namespace talaria::model;
namespace bdata = boost::unit_test::data;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> random_logits(std::size_t vocab, u64 seed) {
  auto rng = seeded_rng(seed, 7);
  std::vector<float> logits(vocab);
  for (float& x : logits) x = static_cast<float>(rng.below(2001)) / 100.0f - 10.0f;
  return logits;
}

std::vector<u32> tokens(SamplingParameters parameters, const std::vector<float>& logits,
                        std::size_t count) {
  Sampler sampler(parameters);
  std::vector<u32> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(sampler.sample(logits, {}));
  return out;
}

/// Ids from the most likely to the least, equal ones by id.
std::vector<u32> ranking(const std::vector<float>& logits) {
  std::vector<u32> ids(logits.size());
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<u32>(i);
  std::stable_sort(ids.begin(), ids.end(), [&](u32 a, u32 b) { return logits[a] > logits[b]; });
  return ids;
}

std::vector<double> softmax(const std::vector<float>& logits, double temperature) {
  std::vector<double> p;
  double sum = 0;
  for (const float x : logits) p.push_back(std::exp(x / temperature));
  for (const double x : p) sum += x;
  for (double& x : p) x /= sum;
  return p;
}

/// Errors of this code and no other.
auto with_code(Errc code) {
  return [code](const Error& error) { return error.code() == code; };
}

} // namespace

BOOST_AUTO_TEST_CASE(greedy_takes_the_lowest_id_among_equal_logits) {
  Sampler greedy(SamplingParameters{});
  BOOST_TEST(greedy.sample(std::vector<float>{1, 5, 3, 5, 5}, {}) == 1u);
  BOOST_TEST(greedy.sample(std::vector<float>{-kInfinity, -2, -2}, {}) == 1u);
  BOOST_TEST(greedy.sample(std::vector<float>{0}, {}) == 0u);
  // One key is what sampling with a set of one means, at any temperature.
  Sampler one(SamplingParameters{.temperature = 5, .top_k = 1});
  BOOST_TEST(one.sample(std::vector<float>{1, 5, 3, 5, 5}, {}) == 1u);
}

BOOST_AUTO_TEST_CASE(greedy_agrees_with_ranking_at_any_length) {
  for (std::size_t vocab = 1; vocab < 70; ++vocab)
    for (u64 seed = 0; seed < 20; ++seed) {
      auto logits = random_logits(vocab, 100 * vocab + seed);
      for (float& x : logits) x = std::floor(x / 4); // many equal ones
      if (seed % 3 == 0) logits[seed % vocab] = -kInfinity;
      if (logits.size() == 1 && !std::isfinite(logits[0])) continue;
      Sampler greedy(SamplingParameters{});
      BOOST_TEST(greedy.sample(logits, {}) == ranking(logits).front());
    }
}

BOOST_AUTO_TEST_CASE(greedy_finds_broken_logits_wherever_they_are) {
  for (const std::size_t at : {0U, 15U, 16U, 31U, 32U, 36U})
    for (const float broken : {kNan, kInfinity}) {
      std::vector<float> logits(37, 1.0f);
      logits[at] = broken;
      Sampler greedy(SamplingParameters{});
      BOOST_CHECK_EXCEPTION(greedy.sample(logits, {}), Error, with_code(Errc::internal));
    }
}

BOOST_AUTO_TEST_CASE(logits_are_left_as_they_are) {
  const auto logits = random_logits(100, 1);
  auto copy = logits;
  Sampler sampler(SamplingParameters{.temperature = 1, .top_p = 0.5f, .repetition_penalty = 2});
  sampler.sample(copy, std::vector<u32>{1, 2, 3});
  BOOST_TEST(copy == logits, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(same_seed_gives_same_tokens_and_another_seed_others) {
  const auto logits = random_logits(500, 2);
  const SamplingParameters parameters{.temperature = 3, .top_p = 0.95f, .seed = 11};
  auto other = parameters;
  other.seed = 12;
  BOOST_TEST(tokens(parameters, logits, 200) == tokens(parameters, logits, 200),
             boost::test_tools::per_element());
  BOOST_CHECK(tokens(parameters, logits, 200) != tokens(other, logits, 200));
}

BOOST_AUTO_TEST_CASE(two_sequences_do_not_disturb_each_other) {
  const auto logits = random_logits(500, 3);
  const SamplingParameters parameters{.temperature = 3, .seed = 5};
  const auto alone = tokens(parameters, logits, 50);
  Sampler a(parameters);
  Sampler b(SamplingParameters{.temperature = 2, .seed = 6});
  for (const u32 token : alone) {
    b.sample(logits, {});
    BOOST_TEST(a.sample(logits, {}) == token);
  }
}

BOOST_DATA_TEST_CASE(filters_that_keep_everything_change_nothing, bdata::make({1u, 2u, 17u, 1000u}),
                     vocab) {
  const auto logits = random_logits(vocab, vocab);
  const SamplingParameters plain{.temperature = 1.5f, .seed = 3};
  auto all = plain;
  all.top_k = vocab + 5;
  all.repetition_penalty = 1;
  BOOST_TEST(tokens(plain, logits, 100) == tokens(all, logits, 100),
             boost::test_tools::per_element());
  all.top_k = 0;
  all.top_p = std::nextafter(1.0f, 0.0f); // keeps all but ids of total weight 6e-8
  BOOST_TEST(tokens(plain, logits, 100) == tokens(all, logits, 100),
             boost::test_tools::per_element());
}

BOOST_DATA_TEST_CASE(top_k_draws_exactly_the_k_best, bdata::make({2u, 3u, 10u}), k) {
  std::vector<float> logits(40);
  for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>((i * 7) % 13) / 8;
  const auto ranked = ranking(logits); // with ties across every border
  const std::set<u32> expected(ranked.begin(), ranked.begin() + k);
  const auto drawn = tokens({.temperature = 2, .top_k = k, .seed = 1}, logits, 2000);
  const std::set<u32> got(drawn.begin(), drawn.end());
  BOOST_TEST(got == expected, boost::test_tools::per_element());
}

BOOST_DATA_TEST_CASE(top_p_draws_exactly_the_smallest_sufficient_set,
                     bdata::make({0.01f, 0.3f, 0.5f, 0.9f, 0.99f}), top_p) {
  auto logits = random_logits(12, 21);
  for (float& x : logits) x /= 5;
  logits[7] = logits[3]; // a tie
  const float temperature = 1.3f;
  const auto p = softmax(logits, temperature);
  std::set<u32> expected;
  double sum = 0;
  for (const u32 id : ranking(logits)) {
    if (sum >= top_p) break;
    expected.insert(id);
    sum += p[id];
  }
  const auto drawn = tokens({.temperature = temperature, .top_p = top_p, .seed = 9}, logits, 5000);
  const std::set<u32> got(drawn.begin(), drawn.end());
  BOOST_TEST(got == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(top_p_counts_probabilities_within_the_top_k) {
  // Of {1/2, 1/4, 1/8, 1/8} the best two hold 3/4; within them the first holds 2/3.
  const std::vector<float> logits{std::log(4.0f), std::log(2.0f), 0, 0};
  const auto drawn = tokens({.temperature = 1, .top_p = 0.6f, .top_k = 2, .seed = 1}, logits, 500);
  BOOST_TEST(std::count(drawn.begin(), drawn.end(), 0u) == 500);
}

BOOST_DATA_TEST_CASE(frequencies_follow_the_softmax, bdata::make({0.5f, 1.0f, 2.5f}), temperature) {
  const std::vector<float> logits{2, 0.5f, -1, 1.25f, -3, 0, 2, -kInfinity};
  constexpr std::size_t kDraws = 20000;
  std::map<u32, std::size_t> counts;
  for (const u32 token : tokens({.temperature = temperature, .seed = 4}, logits, kDraws))
    ++counts[token];
  const auto p = softmax(logits, temperature);
  for (std::size_t id = 0; id < logits.size(); ++id) {
    const double mean = p[id] * kDraws;
    const double deviation = std::sqrt(mean * (1 - p[id]));
    const auto count = static_cast<double>(counts[static_cast<u32>(id)]);
    BOOST_TEST(std::fabs(count - mean) <= 4.5 * deviation,
               "id " << id << ": " << count << " of " << mean);
  }
}

BOOST_AUTO_TEST_CASE(a_token_is_the_seeds_next_uniform_looked_up_in_the_cumulative_softmax) {
  const auto logits = random_logits(2000, 8);
  const auto p = softmax(logits, 4);
  auto rng = seeded_rng(77);
  for (const u32 token : tokens({.temperature = 4, .seed = 77}, logits, 5000)) {
    u64 bits = 0;
    rng.fill({reinterpret_cast<u8*>(&bits), sizeof bits});
    const double uniform = std::ldexp(static_cast<double>(bits >> 11), -53);
    double below = 0;
    for (u32 id = 0; id < token; ++id) below += p[id];
    // Two computations of a cumulative probability agree to about 1e-14.
    BOOST_TEST_REQUIRE(uniform > below - 1e-12);
    BOOST_TEST_REQUIRE(uniform < below + p[token] + 1e-12);
  }
}

BOOST_AUTO_TEST_CASE(extreme_logits_and_temperatures_stay_finite) {
  const std::vector<float> logits{3e38f, -3e38f, 2.9e38f};
  Sampler cold(SamplingParameters{.temperature = 1e-30f});
  Sampler hot(SamplingParameters{.temperature = 100, .repetition_penalty = 0.01f});
  BOOST_TEST(cold.sample(logits, {}) == 0u);
  BOOST_TEST(hot.sample(logits, std::vector<u32>{0, 1}) == 0u);
  const auto drawn = tokens({.temperature = 100, .seed = 2}, {1, 1, 1}, 300);
  BOOST_TEST(std::set<u32>(drawn.begin(), drawn.end()).size() == 3u);
}

BOOST_AUTO_TEST_CASE(penalty_divides_positive_and_multiplies_negative_logits_once) {
  Sampler greedy(SamplingParameters{.repetition_penalty = 2});
  // 4 / 2 = 2 < 3; applied twice, 4 would be 1 and lose to 1.5 as well.
  BOOST_TEST(greedy.sample(std::vector<float>{4, 3}, std::vector<u32>{0}) == 1u);
  BOOST_TEST(greedy.sample(std::vector<float>{4, 1.5f}, std::vector<u32>{0, 0, 0}) == 0u);
  BOOST_TEST(greedy.sample(std::vector<float>{-1, -1.5f}, std::vector<u32>{0}) == 1u);
  BOOST_TEST(greedy.sample(std::vector<float>{-1, -2.5f}, std::vector<u32>{0, 0}) == 0u);
  Sampler encouraging(SamplingParameters{.repetition_penalty = 0.5f});
  BOOST_TEST(encouraging.sample(std::vector<float>{4, 3}, std::vector<u32>{1}) == 1u);
}

BOOST_AUTO_TEST_CASE(broken_logits_are_an_internal_error) {
  for (const float temperature : {0.0f, 1.0f}) {
    Sampler sampler(SamplingParameters{.temperature = temperature, .repetition_penalty = 2});
    const auto broken = [&](std::vector<float> logits, std::vector<u32> seen = {}) {
      BOOST_CHECK_EXCEPTION(sampler.sample(logits, seen), Error, with_code(Errc::internal));
    };
    broken({});
    broken({1, kNan, 2});
    broken({1, kInfinity});
    broken({-kInfinity, -kInfinity});
    broken({1, 2}, {2});
  }
}

BOOST_AUTO_TEST_CASE(parameters_outside_their_range_are_usage_errors_naming_the_field) {
  const auto refused = [](SamplingParameters parameters, const std::string& field) {
    BOOST_CHECK_EXCEPTION(Sampler{parameters}, Error, [&](const Error& error) {
      return error.code() == Errc::usage && std::string(error.what()).starts_with(field + " ");
    });
  };
  for (const float x : {-0.1f, 100.5f, kInfinity, kNan}) refused({.temperature = x}, "temperature");
  for (const float x : {0.0f, -1.0f, 1.01f, kNan}) refused({.top_p = x}, "top_p");
  for (const float x : {0.0f, -1.0f, 101.0f, kInfinity, kNan})
    refused({.repetition_penalty = x}, "repetition_penalty");
  BOOST_CHECK_NO_THROW((SamplingParameters{
      .temperature = 100, .top_p = 1e-6f, .top_k = ~0u, .repetition_penalty = 100, .seed = ~u64{0}}
                            .validate()));
}
