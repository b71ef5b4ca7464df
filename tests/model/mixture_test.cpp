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

BOOST_AUTO_TEST_SUITE_END()
