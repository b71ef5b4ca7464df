// What requests change about logits, against formulas written down here.
#include "model/logit_adjustment.hpp"

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "core/error.hpp"
#include "core/random.hpp"
#include "model/sampler.hpp"
#include "model/token_scores.hpp"

using namespace talaria;
using namespace talaria::model;
namespace bdata = boost::unit_test::data;

BOOST_AUTO_TEST_SUITE(logit_adjustment)

namespace {

std::vector<float> hilly_logits(std::size_t vocab, u64 seed) {
  auto rng = seeded_rng(seed, 3);
  std::vector<float> logits(vocab);
  for (float& x : logits) x = static_cast<float>(rng.below(1200)) / 100.0f - 6.0f;
  return logits;
}

/// What OpenAI's reference and vLLM's documentation say, word by word.
std::vector<double> expected_scores(const std::vector<float>& logits,
                                    const SamplingParameters& parameters,
                                    const std::vector<u32>& seen, std::size_t answered) {
  const std::vector<u32> answer(seen.end() - static_cast<std::ptrdiff_t>(answered), seen.end());
  std::vector<double> out(logits.begin(), logits.end());
  for (u32 id = 0; id < out.size(); ++id) {
    const auto holds = [id](const std::vector<u32>& ids) {
      return std::find(ids.begin(), ids.end(), id) != ids.end();
    };
    if (!parameters.allowed.empty() && !holds(parameters.allowed)) out[id] = -INFINITY;
    for (const auto& [biased, bias] : parameters.logit_bias)
      if (biased == id) out[id] += bias;
    for (const auto& word : parameters.banned)
      if (word.back() == id && answer.size() + 1 >= word.size() &&
          std::equal(word.begin(), word.end() - 1,
                     answer.end() - static_cast<std::ptrdiff_t>(word.size() - 1)))
        out[id] = -INFINITY;
    if (answer.size() < parameters.min_tokens && holds(parameters.ends)) out[id] = -INFINITY;
    const double penalty = parameters.repetition_penalty;
    if (holds(seen)) out[id] = out[id] > 0 ? out[id] / penalty : out[id] * penalty;
    const auto times = static_cast<double>(std::count(answer.begin(), answer.end(), id));
    out[id] -= static_cast<double>(parameters.frequency_penalty) * times;
    if (times > 0) out[id] -= static_cast<double>(parameters.presence_penalty);
  }
  return out;
}

u32 first_best(const std::vector<double>& scores) {
  return static_cast<u32>(std::max_element(scores.begin(), scores.end()) - scores.begin());
}

const SamplingParameters kAdjusted[] = {
    {.presence_penalty = 1.5f},
    {.frequency_penalty = 0.75f},
    {.presence_penalty = -0.5f, .frequency_penalty = -0.25f},
    {.repetition_penalty = 1.2f, .presence_penalty = 0.5f, .frequency_penalty = 0.5f},
    {.logit_bias = {{3, 5.0f}, {4, -100.0f}, {7, 2.5f}}},
    {.allowed = {1, 5, 9, 30}},
    {.logit_bias = {{5, 8.0f}, {2, 100.0f}}, .allowed = {1, 5, 9}},
    {.banned = {{4}, {11}, {30}}},
    {.banned = {{4, 4}, {11, 12, 13}, {0, 1}}, .min_tokens = 3, .ends = {2, 6}},
    {.repetition_penalty = 1.1f,
     .presence_penalty = 0.3f,
     .frequency_penalty = 0.1f,
     .logit_bias = {{0, 1.0f}, {20, -1.5f}},
     .banned = {{8, 9}},
     .min_tokens = 5,
     .ends = {0}},
};

std::string described(const SamplingParameters& p) {
  return "presence " + std::to_string(p.presence_penalty) + ", frequency " +
         std::to_string(p.frequency_penalty) + ", biases " + std::to_string(p.logit_bias.size()) +
         ", allowed " + std::to_string(p.allowed.size()) + ", banned " +
         std::to_string(p.banned.size()) + ", min_tokens " + std::to_string(p.min_tokens) +
         ", min_p " + std::to_string(p.min_p);
}

} // namespace

BOOST_DATA_TEST_CASE(greedy_takes_the_best_of_the_scores_that_the_references_define,
                     bdata::make({false, true}), oblivious) {
  for (const SamplingParameters& parameters : kAdjusted)
    for (u64 seed = 0; seed < 20; ++seed) {
      Sampler sampler(parameters, oblivious);
      std::vector<u32> seen{5, 5, 17};
      for (std::size_t answered = 0; answered < 12; ++answered) {
        const auto logits = hilly_logits(40, 100 * seed + answered);
        const u32 token = sampler.sample(logits, seen, answered);
        BOOST_TEST_REQUIRE(token == first_best(expected_scores(logits, parameters, seen, answered)),
                           described(parameters) << ", seed " << seed << ", token " << answered);
        // Part of the answers repeat what they hold, and begin banned words.
        seen.push_back(seed % 2 == 0 ? token : static_cast<u32>((seed + answered / 2) % 14));
      }
    }
}

BOOST_AUTO_TEST_CASE(both_samplers_draw_the_same_tokens) {
  auto rng = seeded_rng(2);
  for (SamplingParameters parameters : kAdjusted)
    for (const float min_p : {0.0f, 0.05f, 0.5f, 1.0f})
      for (const u32 top_k : {0u, 7u})
        for (const float top_p : {1.0f, 0.8f}) {
          parameters.temperature = 1.3f;
          parameters.min_p = min_p;
          parameters.top_k = top_k;
          parameters.top_p = top_p;
          parameters.seed = rng.below(1000);
          Sampler ordinary(parameters);
          Sampler oblivious(parameters, true);
          std::vector<u32> seen{1, 2};
          for (std::size_t answered = 0; answered < 8; ++answered) {
            const auto logits = hilly_logits(61, rng.below(1u << 20));
            const u32 token = ordinary.sample(logits, seen, answered);
            BOOST_TEST_REQUIRE(oblivious.sample(logits, seen, answered) == token,
                               described(parameters));
            oblivious.sample_in_vain(logits, seen, answered);
            seen.push_back(token);
          }
        }
}

BOOST_DATA_TEST_CASE(min_p_draws_exactly_what_is_likely_enough,
                     bdata::make({0.01f, 0.1f, 0.3f, 0.9f, 1.0f}), min_p) {
  auto logits = hilly_logits(25, 4);
  for (float& x : logits) x /= 4;
  const float temperature = 1.25f;
  double best = -INFINITY;
  for (const float x : logits) best = std::max(best, double{x});
  std::set<u32> expected;
  for (u32 id = 0; id < logits.size(); ++id)
    if (std::exp((double{logits[id]} - best) / temperature) >= min_p) expected.insert(id);
  Sampler sampler({.temperature = temperature, .seed = 6, .min_p = min_p});
  std::set<u32> drawn;
  for (int i = 0; i < 6000; ++i) drawn.insert(sampler.sample(logits, {}));
  BOOST_TEST(drawn == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(what_is_sampled_in_vain_changes_nothing) {
  const SamplingParameters parameters{
      .temperature = 1, .seed = 9, .presence_penalty = 1, .frequency_penalty = 0.5f};
  Sampler alone(parameters);
  Sampler disturbed(parameters);
  std::vector<u32> seen;
  for (std::size_t i = 0; i < 60; ++i) {
    const auto logits = hilly_logits(30, i);
    disturbed.sample_in_vain(logits, seen, i);
    const u32 token = alone.sample(logits, seen, i);
    BOOST_TEST_REQUIRE(disturbed.sample(logits, seen, i) == token);
    seen.push_back(token);
  }
}

BOOST_DATA_TEST_CASE(parameters_that_forbid_every_token_are_an_error, bdata::make({false, true}),
                     oblivious) {
  Sampler sampler({.allowed = {3}, .banned = {{3}}}, oblivious);
  BOOST_CHECK_EXCEPTION(sampler.sample(hilly_logits(8, 1), {}), Error, [](const Error& error) {
    return error.code() == Errc::internal &&
           error.what() == std::string("no token is left to choose from");
  });
}

BOOST_AUTO_TEST_CASE(new_parameters_outside_their_range_are_named) {
  const auto refused = [](const SamplingParameters& parameters, const std::string& field) {
    BOOST_CHECK_EXCEPTION(parameters.validate(), Error, [&](const Error& error) {
      return error.code() == Errc::usage && std::string(error.what()).starts_with(field + " ");
    });
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const float x : {-0.1f, 1.1f, nan}) refused({.min_p = x}, "min_p");
  for (const float x : {-2.1f, 2.1f, nan}) {
    refused({.presence_penalty = x}, "presence_penalty");
    refused({.frequency_penalty = x}, "frequency_penalty");
  }
  for (const float x : {-100.5f, 101.0f, nan}) refused({.logit_bias = {{1, x}}}, "logit_bias");
}

BOOST_AUTO_TEST_CASE(scores_are_the_logarithm_of_the_softmax_of_the_logits) {
  for (u64 seed = 0; seed < 50; ++seed) {
    const auto logits = hilly_logits(300, seed);
    long double sum = 0;
    for (const float x : logits) sum += std::exp(static_cast<long double>(x));
    const auto logprob = [&](u32 id) {
      return static_cast<float>(static_cast<long double>(logits[id]) - std::log(sum));
    };
    const auto token = static_cast<u32>(seed * 5);
    const TokenScores scores = score_token(logits, token, 7);
    BOOST_TEST(scores.chosen.token == token);
    BOOST_TEST(scores.chosen.logprob == logprob(token));
    BOOST_TEST_REQUIRE(scores.top.size() == 7u);
    std::vector<u32> ids(logits.size());
    for (u32 i = 0; i < ids.size(); ++i) ids[i] = i;
    std::stable_sort(ids.begin(), ids.end(), [&](u32 a, u32 b) { return logits[a] > logits[b]; });
    for (u32 i = 0; i < 7; ++i) {
      BOOST_TEST(scores.top[i].token == ids[i]);
      BOOST_TEST(scores.top[i].logprob == logprob(ids[i]));
    }
    for (const TokenScore& each : scores.top)
      BOOST_TEST(each.rank == 1 + std::count_if(logits.begin(), logits.end(),
                                                [&](float x) { return x > logits[each.token]; }));
    BOOST_TEST(score_token(logits, token, 0).top.empty());
  }
}

BOOST_AUTO_TEST_SUITE_END()
