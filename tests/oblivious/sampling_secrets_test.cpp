#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "model/sampler.hpp"
#include "tests/oblivious/poison.hpp"

using namespace talaria;
using namespace talaria::model;
using namespace talaria::tests;

namespace {

const SamplingParameters kParameters[] = {
    {},
    {.repetition_penalty = 1.3f},
    {.temperature = 1},
    {.temperature = 0.8f, .top_p = 0.9f},
    {.temperature = 1.2f, .top_k = 20},
    {.temperature = 0.8f, .top_p = 0.95f, .top_k = 40, .repetition_penalty = 1.1f},
    {.presence_penalty = 0.5f, .frequency_penalty = 0.25f},
    {.temperature = 1, .min_p = 0.05f},
    {.temperature = 1, .logit_bias = {{7, 2.5f}, {200, -100.0f}}},
    {.temperature = 1, .allowed = {1, 2, 3, 200, 250}},
    {.banned = {{9}, {1, 4, 5}, {4, 8}}, .min_tokens = 2, .ends = {0, 299}},
    {.temperature = 1.2f,
     .top_p = 0.9f,
     .top_k = 30,
     .repetition_penalty = 1.2f,
     .min_p = 0.01f,
     .presence_penalty = 0.1f,
     .frequency_penalty = 0.2f,
     .logit_bias = {{3, 1.0f}},
     .banned = {{4, 8}}},
};

/// Whoever names tokens in a request shows what the text is about.
SamplingParameters with_poisoned_ids(SamplingParameters parameters) {
  for (auto& each : parameters.logit_bias)
    VALGRIND_MAKE_MEM_UNDEFINED(&each.first, sizeof each.first);
  for (auto& word : parameters.banned) poison(word);
  poison(parameters.allowed);
  poison(parameters.ends);
  return parameters;
}

/// The tokens of three steps, with logits and history that nobody may look at.
std::vector<u32> answer(const SamplingParameters& parameters, bool oblivious, unsigned& leaks) {
  auto rng = seeded_rng(4);
  Sampler sampler(with_poisoned_ids(parameters), oblivious);
  std::vector<u32> seen{3, 1, 4};
  seen.reserve(16);
  std::vector<u32> out;
  for (std::size_t step = 0; step < 3; ++step) {
    std::vector<float> logits(300);
    for (float& x : logits) x = static_cast<float>(rng.below(2000)) / 250 - 4;
    poison(logits);
    poison(seen);
    leaks += leaks_of([&] { seen.push_back(sampler.sample(logits, seen, step)); });
    out.push_back(seen.back());
  }
  cure(out);
  return out;
}

} // namespace

BOOST_AUTO_TEST_SUITE(secrets_of_sampling)

BOOST_AUTO_TEST_CASE(no_branch_and_no_address_depends_on_logits_or_tokens) {
  for (const SamplingParameters& parameters : kParameters)
    BOOST_TEST_CONTEXT("temperature " << parameters.temperature << ", top_p " << parameters.top_p
                                      << ", top_k " << parameters.top_k << ", penalty "
                                      << parameters.repetition_penalty) {
      unsigned leaks = 0;
      const auto tokens = answer(parameters, true, leaks);
      BOOST_TEST(leaks == 0u);
      BOOST_TEST(tokens == answer(parameters, false, leaks), boost::test_tools::per_element());
      BOOST_TEST(leaks > 0u, "the ordinary sampler is not seen to leak");
    }
}

BOOST_AUTO_TEST_SUITE_END()
