// Against the same formulas in long double.
#include "kernels/elementwise.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <vector>

#include "kernels/kernel_set.hpp"

using namespace talaria;
using namespace talaria::kernels;

BOOST_AUTO_TEST_SUITE(elementwise)

BOOST_AUTO_TEST_CASE(tanh_is_close_everywhere) {
  for (float x = -100; x < 100; x += 0.01f)
    BOOST_TEST_REQUIRE(std::abs(canonical_tanh(x) - std::tanh(x)) < 2e-7);
  BOOST_TEST(canonical_tanh(0) == 0.0f);
  BOOST_TEST(canonical_tanh(INFINITY) == 1.0f);
  BOOST_TEST(canonical_tanh(-INFINITY) == -1.0f);
}

BOOST_AUTO_TEST_CASE(capped_values_stay_below_the_cap_and_in_order) {
  std::vector<float> x;
  for (float v = -50; v <= 50; v += 0.5f) x.push_back(v);
  const std::vector<float> before = x;
  soft_cap(x.data(), x.size(), 15);
  for (std::size_t i = 0; i < x.size(); ++i) {
    BOOST_TEST(std::abs(x[i] - 15 * std::tanh(before[i] / 15)) < 5e-6);
    if (i > 0) BOOST_TEST(x[i] >= x[i - 1]);
  }
}

BOOST_AUTO_TEST_CASE(gelu_follows_its_tanh_form) {
  std::vector<float> gate, up, out;
  for (float v = -8; v <= 8; v += 0.01f) {
    gate.push_back(v);
    up.push_back(1 + v * v);
  }
  out.resize(gate.size());
  gelu_tanh_mul(gate.data(), up.data(), out.data(), gate.size());
  for (std::size_t i = 0; i < gate.size(); ++i) {
    const long double g = gate[i];
    const long double gelu =
        0.5L * g * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0L)) * (g + 0.044715L * g * g * g)));
    const double expected = static_cast<double>(gelu * up[i]);
    BOOST_TEST(std::abs(out[i] - expected) < 1e-6 * (1 + std::abs(expected)));
  }
}

// With a cap far above all scores it is plain attention; with a low one the formula.
BOOST_AUTO_TEST_CASE(capped_attention_follows_the_formula) {
  constexpr std::size_t kDim = 20, kCount = 37;
  std::vector<float> q(kDim + 16), k(kCount * kDim + 16), v(kCount * kDim + 16), scratch(48);
  for (std::size_t i = 0; i < kDim; ++i) q[i] = std::sin(static_cast<float>(i + 1));
  for (std::size_t i = 0; i < kCount * kDim; ++i) {
    k[i] = std::cos(static_cast<float>(3 * i + 1));
    v[i] = std::sin(static_cast<float>(7 * i + 2));
  }
  for (const float cap : {1e6f, 0.7f}) {
    std::vector<float> out(kDim);
    attend_capped(q.data(), k.data(), v.data(), kCount, kDim, 0.4f, cap, scratch.data(),
                  out.data());
    std::vector<double> weight(kCount);
    double sum = 0;
    for (std::size_t p = 0; p < kCount; ++p) {
      double score = 0;
      for (std::size_t d = 0; d < kDim; ++d) score += double{q[d]} * k[p * kDim + d];
      weight[p] = std::exp(cap * std::tanh(score * 0.4 / cap));
      sum += weight[p];
    }
    for (std::size_t d = 0; d < kDim; ++d) {
      double expected = 0;
      for (std::size_t p = 0; p < kCount; ++p) expected += weight[p] / sum * v[p * kDim + d];
      BOOST_TEST(std::abs(out[d] - expected) < (cap > 1 ? 2e-2 : 1e-5)); // fp32 of a cap of 1e6
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
