#include "model/sampler.hpp"

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <bit>
#include <cmath>
#include <limits>
#include <string>

#include "core/error.hpp"

using namespace talaria;
using namespace talaria::model;
namespace bdata = boost::unit_test::data;

BOOST_AUTO_TEST_SUITE(oblivious_sampling)

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Distributions that sampling meets, and some that it should not.
struct Shape {
  const char* name;
  float (*draw)(Rng&);
};
float uniform(Rng& rng) {
  return static_cast<float>(rng.below(1u << 24)) * 0x1p-24f;
}
const Shape kShapes[] = {
    {"flat", [](Rng& rng) { return 0.5f * uniform(rng); }},
    {"usual", [](Rng& rng) { return 6 * (uniform(rng) + uniform(rng) + uniform(rng) - 1.5f); }},
    {"peaked", [](Rng& rng) { return -std::log(uniform(rng) + 1e-7f) * 8; }},
    {"ties", [](Rng& rng) { return static_cast<float>(rng.below(5)) - 2; }},
    {"equal", [](Rng&) { return -1.25f; }},
    {"zeros of both signs", [](Rng& rng) { return rng.below(2) == 0 ? 0.0f : -0.0f; }},
    {"any bits",
     [](Rng& rng) {
       float x = std::bit_cast<float>(static_cast<u32>(rng.below(u64{1} << 32)));
       return std::isfinite(x) ? x : -kInfinity;
     }},
    {"subnormal",
     [](Rng& rng) {
       return std::bit_cast<float>(static_cast<u32>(rng.below(64) | rng.below(2) << 31));
     }},
    {"mostly excluded", [](Rng& rng) { return rng.below(4) == 0 ? uniform(rng) : -kInfinity; }},
    {"large", [](Rng& rng) { return 3e38f * (2 * uniform(rng) - 1); }},
};

const SamplingParameters kParameters[] = {
    {},
    {.repetition_penalty = 1.3f},
    {.temperature = 1, .top_k = 1, .repetition_penalty = 0.4f},
    {.temperature = 1},
    {.temperature = 0.7f, .top_p = 0.9f},
    {.temperature = 1, .top_p = 0.999f, .repetition_penalty = 1.1f},
    {.temperature = 1.5f, .top_k = 2},
    {.temperature = 0.8f, .top_p = 0.95f, .top_k = 40},
    {.temperature = 2, .top_p = 0.5f, .top_k = 7, .repetition_penalty = 1.7f},
    {.temperature = 100, .top_p = 0.01f},
    {.temperature = 1e-30f, .top_p = 1e-6f, .top_k = 3},
    {.temperature = 1, .top_k = 1'000'000, .repetition_penalty = 1e-20f},
};

std::vector<float> logits_of(const Shape& shape, std::size_t vocab, Rng& rng) {
  std::vector<float> logits(vocab);
  for (float& x : logits) x = shape.draw(rng);
  if (!std::isfinite(logits[vocab / 2])) logits[vocab / 2] = 1;
  return logits;
}

} // namespace

BOOST_DATA_TEST_CASE(picks_the_tokens_that_the_ordinary_sampler_picks,
                     bdata::make({1u, 2u, 3u, 31u, 32u, 33u, 257u, 4096u}), vocab) {
  auto rng = seeded_rng(vocab, 1);
  for (const Shape& shape : kShapes)
    for (SamplingParameters parameters : kParameters)
      for (parameters.seed = 0; parameters.seed < 4; ++parameters.seed) {
        Sampler ordinary(parameters);
        Sampler oblivious(parameters, true);
        std::vector<u32> seen(rng.below(20));
        for (u32& id : seen) id = static_cast<u32>(rng.below(vocab));
        for (int step = 0; step < 4; ++step) {
          const auto logits = logits_of(shape, vocab, rng);
          const u32 token = ordinary.sample(logits, seen);
          BOOST_TEST_REQUIRE(oblivious.sample(logits, seen) == token,
                             shape.name << ", temperature " << parameters.temperature << ", top_p "
                                        << parameters.top_p << ", top_k " << parameters.top_k
                                        << ", penalty " << parameters.repetition_penalty);
          seen.push_back(token);
        }
      }
}

BOOST_AUTO_TEST_CASE(picks_them_from_a_large_vocabulary_too) {
  constexpr std::size_t vocab = 128'256;
  auto rng = seeded_rng(5);
  for (const Shape& shape : kShapes)
    for (const SamplingParameters& parameters :
         {SamplingParameters{.temperature = 1, .top_p = 0.95f, .seed = 3},
          SamplingParameters{.temperature = 1, .top_k = 50, .repetition_penalty = 1.2f}}) {
      Sampler ordinary(parameters);
      Sampler oblivious(parameters, true);
      const auto logits = logits_of(shape, vocab, rng);
      const std::vector<u32> seen{0, 17, 128'255, 17, 64'000};
      BOOST_TEST(oblivious.sample(logits, seen) == ordinary.sample(logits, seen), shape.name);
    }
}

// A draw takes the same bytes of the seed's stream, so that one may take over from the other.
BOOST_AUTO_TEST_CASE(a_sequence_of_draws_stays_in_step) {
  auto rng = seeded_rng(8);
  const SamplingParameters parameters{.temperature = 1.2f, .top_p = 0.8f, .seed = 12};
  Sampler ordinary(parameters);
  Sampler oblivious(parameters, true);
  for (int i = 0; i < 300; ++i) {
    const auto logits = logits_of(kShapes[1], 500, rng);
    BOOST_TEST_REQUIRE(oblivious.sample(logits, {}) == ordinary.sample(logits, {}));
  }
}

BOOST_AUTO_TEST_CASE(refuses_what_the_ordinary_sampler_refuses) {
  for (const float temperature : {0.0f, 1.0f})
    for (const bool oblivious : {false, true}) {
      Sampler sampler(SamplingParameters{.temperature = temperature, .repetition_penalty = 2},
                      oblivious);
      std::string message;
      const auto broken = [&](std::vector<float> logits, std::vector<u32> seen,
                              const std::string& expected) {
        BOOST_CHECK_EXCEPTION(sampler.sample(logits, seen), Error, [&](const Error& error) {
          return error.code() == Errc::internal && error.what() == expected;
        });
      };
      const float nan = std::numeric_limits<float>::quiet_NaN();
      broken({}, {}, "there is no finite logit to choose from");
      broken({1, nan, 2}, {}, "the logits hold NaN or infinity");
      broken({1, -nan}, {}, "the logits hold NaN or infinity");
      broken({1, kInfinity}, {}, "the logits hold NaN or infinity");
      broken({-kInfinity, -kInfinity}, {}, "there is no finite logit to choose from");
      broken({1, 2}, {1, 2}, "a seen token id lies outside the logits");
      broken({1, 2}, {~0u}, "a seen token id lies outside the logits");
    }
}

BOOST_AUTO_TEST_SUITE_END()
