// Against the same formulas in long double.
#include "kernels/elementwise.hpp"

#include <algorithm>
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

BOOST_AUTO_TEST_CASE(clamped_swiglu_follows_its_formula) {
  std::vector<float> gate, up, out;
  for (float v = -60; v <= 60; v += 0.05f) {
    gate.push_back(v);
    up.push_back(9 * std::sin(3 * v));
  }
  gate.insert(gate.end(), {-1e30f, 1e30f, 7.0f, -7.0f});
  up.insert(up.end(), {2.0f, -1e30f, 7.0f, -7.0f});
  out.resize(gate.size());
  clamped_swiglu(gate.data(), up.data(), out.data(), gate.size(), 7);
  for (std::size_t i = 0; i < gate.size(); ++i) {
    const long double g = std::min(gate[i], 7.0f); // not clamped from below
    const long double u = std::clamp(up[i], -7.0f, 7.0f);
    const double expected = static_cast<double>((u + 1) * g / (1 + std::exp(-1.702L * g)));
    BOOST_TEST(std::abs(out[i] - expected) < 2e-6 * (1 + std::abs(expected)));
  }
}

BOOST_AUTO_TEST_CASE(sigmoid_and_softplus_are_close_everywhere) {
  for (float x = -90; x < 90; x += 0.013f) {
    const long double e = std::exp(static_cast<long double>(-x));
    const auto s = static_cast<double>(1 / (1 + e));
    BOOST_TEST_REQUIRE(std::abs(sigmoid(x) - s) <= 4e-7 * s + 1e-37);
    const auto p = static_cast<double>(x > 0 ? x + std::log1p(e) : std::log1p(1 / e));
    BOOST_TEST_REQUIRE(std::abs(softplus(x) - p) <= 4e-7 * p + 1e-37, x);
  }
  BOOST_TEST(softplus(1000) == 1000.0f);
  BOOST_TEST(softplus(-1000) < 1e-37f);
  BOOST_TEST(sigmoid(0) == 0.5f);
}

BOOST_AUTO_TEST_CASE(products_are_rounded_one_by_one) {
  std::vector<float> gate, x, out, s;
  for (int i = 0; i < 37; ++i) {
    gate.push_back(0.37f * static_cast<float>(i - 18));
    x.push_back(1.0f / static_cast<float>(i + 1));
  }
  out.resize(x.size());
  sigmoid_mul(gate.data(), x.data(), out.data(), x.size());
  s = out;
  decay_and_add(s.data(), 0.9f, 0.3f, x.data(), x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    BOOST_TEST(out[i] == sigmoid(gate[i]) * x[i]);
    const float kept = 0.9f * out[i];
    const float added = 0.3f * x[i];
    BOOST_TEST(s[i] == kept + added);
  }
}

BOOST_AUTO_TEST_SUITE_END()
