// Shares of experts against the definition in double.
#include "model/mixture.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <numeric>

#include "core/random.hpp"

using namespace talaria;
using namespace talaria::model;

BOOST_AUTO_TEST_SUITE(mixture)

namespace {

constexpr u32 kHidden = 13;

struct Example {
  arch::FeedForward shape;
  LayerGains gains;

  Example(u32 experts, u32 chosen, bool normalise, bool shared) {
    shape.router = arch::Router{"router", chosen, normalise, shared ? "shared" : ""};
    for (u32 e = 0; e < experts; ++e) shape.experts.push_back({"", "", "", e + 1});
    if (shared) shape.experts.push_back({"", "", "", 5});
    auto rng = seeded_rng(experts, chosen);
    const auto number = [&] { return static_cast<float>(rng.below(2001)) / 1000 - 1; };
    for (u32 i = 0; i < experts * kHidden; ++i) gains.router.push_back(number());
    for (u32 i = 0; shared && i < kHidden; ++i) gains.shared_gate.push_back(number());
  }
};

std::vector<float> row() {
  std::vector<float> x(kHidden + 16);
  for (u32 i = 0; i < kHidden; ++i) x[i] = std::sin(static_cast<float>(2 * i + 1));
  return x;
}

std::vector<float> shares_of(const Example& example) {
  const Mixture mixture(example.shape, example.gains);
  std::vector<float> shares(mixture.experts());
  mixture.shares_of(row().data(), kHidden, shares.data());
  return shares;
}

} // namespace

BOOST_AUTO_TEST_CASE(shares_are_those_of_the_largest_logits) {
  for (const bool normalise : {false, true})
    for (const bool shared : {false, true}) {
      const Example example(10, 3, normalise, shared);
      const auto shares = shares_of(example);
      const auto x = row();
      std::vector<double> logits(10);
      for (u32 e = 0; e < 10; ++e)
        for (u32 i = 0; i < kHidden; ++i)
          logits[e] += double{example.gains.router[e * kHidden + i]} * x[i];
      std::vector<u32> order(10);
      std::iota(order.begin(), order.end(), 0);
      std::sort(order.begin(), order.end(), [&](u32 a, u32 b) { return logits[a] > logits[b]; });
      double all = 0, best = 0;
      for (u32 r = 0; r < 10; ++r) {
        all += std::exp(logits[order[r]]);
        if (r < 3) best += std::exp(logits[order[r]]);
      }
      for (u32 r = 0; r < 10; ++r) {
        const double expected = r < 3 ? std::exp(logits[order[r]]) / (normalise ? best : all) : 0;
        BOOST_TEST(std::abs(shares[order[r]] - expected) < 1e-6);
        if (r >= 3) BOOST_TEST(shares[order[r]] == 0.0f);
      }
      if (shared) BOOST_TEST((shares[10] > 0 && shares[10] < 1));
    }
}

BOOST_AUTO_TEST_CASE(of_equal_logits_the_first_are_chosen) {
  Example example(6, 2, true, false);
  std::fill(example.gains.router.begin(), example.gains.router.end(), 0.25f);
  const auto shares = shares_of(example);
  BOOST_TEST(shares == (std::vector<float>{0.5f, 0.5f, 0, 0, 0, 0}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(activations_are_multiplied_expert_by_expert) {
  const Example example(3, 1, false, true); // widths 1, 2, 3 and 5
  const Mixture mixture(example.shape, example.gains);
  std::vector<float> activations(11, 1);
  const float shares[] = {0, 2, 0, 4};
  mixture.apply(shares, activations.data());
  BOOST_TEST(activations == (std::vector<float>{0, 2, 2, 0, 0, 0, 4, 4, 4, 4, 4}),
             boost::test_tools::per_element());
}

namespace {

/// The routers of DeepSeek as its code has them, in double, with sorted lists.
std::vector<double> expected_shares(const Example& example) {
  const arch::Router& rule = *example.shape.router;
  const std::size_t n = example.shape.routed();
  const auto x = row();
  std::vector<double> scores(n), picks(n);
  double all = 0;
  for (std::size_t e = 0; e < n; ++e) {
    double z = example.gains.router_bias.empty() ? 0 : example.gains.router_bias[e];
    for (u32 i = 0; i < kHidden; ++i) z += double{example.gains.router[e * kHidden + i]} * x[i];
    scores[e] = rule.sigmoid ? 1 / (1 + std::exp(-z)) : std::exp(z);
    all += scores[e];
  }
  if (!rule.sigmoid)
    for (double& s : scores) s /= all;
  for (std::size_t e = 0; e < n; ++e)
    picks[e] = scores[e] + (example.gains.choice_bias.empty() ? 0 : example.gains.choice_bias[e]);
  const auto best = [](const std::vector<double>& of, std::size_t count) {
    std::vector<std::size_t> order(of.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return of[a] > of[b]; });
    order.resize(count);
    return order;
  };
  const std::size_t size = n / rule.groups;
  std::vector<double> groups;
  for (std::size_t g = 0; g < rule.groups; ++g) {
    std::vector<double> in(picks.begin() + static_cast<std::ptrdiff_t>(g * size),
                           picks.begin() + static_cast<std::ptrdiff_t>((g + 1) * size));
    std::sort(in.rbegin(), in.rend());
    groups.push_back(rule.group_by_two ? in[0] + in[1] : in[0]);
  }
  std::vector<double> limited(n, 0);
  for (const std::size_t g : best(groups, rule.groups_chosen))
    for (std::size_t e = g * size; e < (g + 1) * size; ++e) limited[e] = picks[e];
  std::vector<double> shares(n, 0);
  double sum = 0;
  for (const std::size_t e : best(limited, rule.chosen)) {
    // With softmax only scores that were left in count.
    shares[e] = rule.sigmoid || limited[e] != 0 ? scores[e] : 0;
    sum += shares[e];
  }
  for (double& s : shares) s *= rule.scale / (rule.normalise ? sum : 1);
  return shares;
}

} // namespace

BOOST_AUTO_TEST_CASE(groups_biases_and_sigmoids_follow_the_definition) {
  for (const bool sigmoid : {false, true})
    for (const bool normalise : {false, true})
      for (const u32 groups : {1u, 3u, 4u})
        for (const u32 groups_chosen : {1u, 2u, 3u})
          for (const float bias : {0.0f, 0.6f, -1.5f}) {
            if (groups_chosen > groups) continue;
            Example example(12, 4, normalise, false);
            arch::Router& rule = *example.shape.router;
            rule.sigmoid = sigmoid;
            rule.groups = groups;
            rule.groups_chosen = groups_chosen;
            rule.group_by_two = sigmoid;
            rule.scale = 2.5f;
            for (int e = 0; e < 12; ++e) {
              example.gains.router_bias.push_back(static_cast<float>(e % 5) / 4);
              // Negative ones make experts outside the groups, which count as 0, the better ones.
              if (sigmoid)
                example.gains.choice_bias.push_back(bias * static_cast<float>((7 * e) % 12) / 12);
            }
            const auto ours = shares_of(example);
            const auto expected = expected_shares(example);
            for (std::size_t e = 0; e < 12; ++e)
              BOOST_TEST(std::abs(ours[e] - expected[e]) < 2e-6,
                         "expert " << e << ": " << ours[e] << " for " << expected[e]);
          }
}

BOOST_AUTO_TEST_CASE(a_shared_expert_without_a_gate_counts_one_and_biases_are_added_by_share) {
  Example example(3, 1, false, false);
  example.shape.experts.push_back({"", "", "", 5});
  example.shape.router->shared = true;
  example.gains.down_bias = {1, 2, 10, 20, 100, 200};
  const Mixture mixture(example.shape, example.gains);
  BOOST_TEST((mixture.experts() == 4 && mixture.adds()));
  BOOST_TEST(shares_of(example)[3] == 1.0f);
  const float shares[] = {0, 0.5f, 2, 1};
  float sum[] = {7, 8};
  mixture.add(shares, sum);
  BOOST_TEST((sum[0] == 7 + 5 + 200 && sum[1] == 8 + 10 + 400));
}

BOOST_AUTO_TEST_SUITE_END()
