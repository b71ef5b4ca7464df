#include <boost/test/unit_test.hpp>

#include <array>
#include <cmath>
#include <vector>

#include "remo/public/parameters.hpp"
#include "remo/samplers.hpp"

using namespace talaria;
using namespace talaria::remo;

namespace {

/// Counts what is drawn from a reproducible stream.
class CountingRng final : public Rng {
public:
  void fill(std::span<u8> out) override {
    bytes += out.size();
    rng_.fill(out);
  }
  std::size_t bytes = 0;

private:
  ChaChaRng rng_ = seeded_rng(5);
};

/// P[e = value] for the difference of two binomials with 21 coins: C(42, 21 + value) / 2^42.
double probability(int value) {
  return std::exp(std::lgamma(43.0) - std::lgamma(22.0 + value) - std::lgamma(22.0 - value)) *
         0x1p-42;
}

} // namespace

BOOST_AUTO_TEST_SUITE(samplers)

BOOST_AUTO_TEST_CASE(errors_follow_the_centred_binomial) {
  constexpr std::size_t kCount = 400000;
  auto rng = seeded_rng(1);
  std::vector<i8> errors(kCount);
  draw_errors(rng, errors);
  std::array<double, 43> seen{};
  double sum = 0;
  double squares = 0;
  for (const int e : errors) {
    BOOST_REQUIRE(std::abs(e) <= kEta);
    ++seen[static_cast<std::size_t>(e + 21)];
    sum += e;
    squares += e * e;
  }
  BOOST_TEST(std::fabs(sum / kCount) < 5 * std::sqrt(10.5 / kCount));
  BOOST_TEST(std::fabs(squares / kCount - 10.5) < 5 * 10.5 * std::sqrt(2.0 / kCount));
  for (int value = -21; value <= 21; ++value) {
    const double expected = kCount * probability(value);
    BOOST_TEST(std::fabs(seen[static_cast<std::size_t>(value + 21)] - expected) <=
                   5 * std::sqrt(expected) + 1,
               value);
  }
}

BOOST_AUTO_TEST_CASE(every_error_costs_six_fresh_bytes) {
  for (const std::size_t n : {0u, 1u, 64u, 4096u, 4097u, 10000u}) {
    CountingRng rng;
    std::vector<i8> errors(n);
    draw_errors(rng, errors);
    BOOST_TEST(rng.bytes == 6 * n);
  }
}

BOOST_AUTO_TEST_CASE(residues_are_below_the_modulus_and_spread) {
  auto rng = seeded_rng(2);
  for (const LatticeParameters& set : kAcceptedParameters) {
    const SecretBuffer<u64> values = draw_residues(set.modulus(), 20000, rng);
    double mean = 0;
    for (const u64 value : values.span()) {
      BOOST_REQUIRE(value < set.q);
      mean += static_cast<double>(value) / static_cast<double>(set.q) / 20000;
    }
    BOOST_TEST(std::fabs(mean - 0.5) < 5 / std::sqrt(12.0 * 20000));
  }
}

BOOST_AUTO_TEST_CASE(normal_values_have_mean_zero_and_variance_one) {
  auto rng = seeded_rng(3);
  const std::size_t n = 100001;
  const SecretBuffer<float> values = draw_normal(n, rng);
  double sum = 0;
  double squares = 0;
  std::size_t beyond_two = 0;
  for (const float value : values.span()) {
    sum += value;
    squares += value * value;
    beyond_two += std::fabs(value) > 2;
  }
  BOOST_TEST(std::fabs(sum / n) < 5 / std::sqrt(n));
  BOOST_TEST(std::fabs(squares / n - 1) < 5 * std::sqrt(2.0 / n));
  BOOST_TEST(std::fabs(static_cast<double>(beyond_two) / n - 0.0455) < 5 * std::sqrt(0.0455 / n));
}

BOOST_AUTO_TEST_CASE(two_secrets_from_one_generator_differ) {
  const kernels::NttPlan plan(kDefaultParameters.modulus(), 16);
  auto rng = seeded_rng(4);
  const SecretBuffer<u64> a = draw_secret(plan, 9, rng);
  const SecretBuffer<u64> b = draw_secret(plan, 9, rng);
  BOOST_TEST(a.size() == 9 * 16u);
  BOOST_TEST(!std::equal(a.span().begin(), a.span().end(), b.span().begin()));
}

BOOST_AUTO_TEST_SUITE_END()
