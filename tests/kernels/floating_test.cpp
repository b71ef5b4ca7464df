#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "tests/kernels/kernel_fixtures.hpp"

using namespace talaria;
using namespace talaria::kernels;
using namespace talaria::kernels::test;

namespace {

u32 bits(float x) {
  return std::bit_cast<u32>(x);
}

/// Distance from x to the true value in units of the last place of the true value.
long double ulps(float x, long double truth) {
  int exponent = 0;
  std::frexp(truth, &exponent);
  return std::fabs((static_cast<long double>(x) - truth) /
                   std::ldexp(1.0L, std::max(exponent - 24, -149)));
}

/// f(i) summed in the order that kernel_set.hpp prescribes, where step adds the i-th term to a
/// lane.
float canonical_sum(std::size_t n, const std::function<float(std::size_t, float)>& step) {
  float lane[16] = {};
  for (std::size_t l = 0; l < 16; ++l)
    for (std::size_t i = l; i < n; i += 16) lane[l] = step(i, lane[l]);
  for (std::size_t l = 0; l < 8; ++l) lane[l] += lane[l + 8];
  for (std::size_t l = 0; l < 4; ++l) lane[l] += lane[l + 4];
  for (std::size_t l = 0; l < 2; ++l) lane[l] += lane[l + 2];
  return lane[0] + lane[1];
}

void fill_wild(Guarded<float>& x, int exponent, Stream& stream) {
  for (float& v : x) v = stream.wild(exponent);
}

} // namespace

BOOST_AUTO_TEST_SUITE(floating_kernels)

BOOST_AUTO_TEST_CASE(sums_follow_the_canonical_order_bit_for_bit) {
  for_each_row([](const KernelSet& row) {
    Stream stream(1);
    for (const std::size_t n : kLengths)
      for (const int exponent : {3, 60}) {
        Guarded<float> a(n), b(n);
        fill_wild(a, exponent, stream);
        fill_wild(b, exponent, stream);
        const float dot =
            canonical_sum(n, [&](std::size_t i, float s) { return std::fma(a[i], b[i], s); });
        const float squares =
            canonical_sum(n, [&](std::size_t i, float s) { return std::fma(a[i], a[i], s); });
        BOOST_TEST(bits(row.dot(a.data(), b.data(), n)) == bits(dot));
        BOOST_TEST(bits(row.sum_squares(a.data(), n)) == bits(squares));
      }
  });
}

// A product too small for a float rounds to -0, which adding +0 for a missing lane would turn into
// +0.
BOOST_AUTO_TEST_CASE(a_short_sum_keeps_negative_zero) {
  for_each_row([](const KernelSet& row) {
    constexpr std::size_t n = 17;
    Guarded<float> a(n), b(n);
    for (float& v : a) v = 1e-30f;
    for (float& v : b) v = -1e-30f;
    const float expected =
        canonical_sum(n, [&](std::size_t i, float s) { return std::fma(a[i], b[i], s); });
    BOOST_TEST(bits(expected) == 0x80000000u);
    BOOST_TEST(bits(row.dot(a.data(), b.data(), n)) == bits(expected));
  });
}

BOOST_AUTO_TEST_CASE(exp_is_within_two_ulp_of_the_truth) {
  long double worst = 0;
  for (float x = -87.3f; x <= 88.72f; x += 0.000731f)
    worst = std::max(worst, ulps(canonical_exp(x), std::exp(static_cast<long double>(x))));
  BOOST_TEST(worst < 2.0L);
  // Subnormal results round once more.
  for (float x = -104.0f; x <= -87.3f; x += 0.0731f)
    BOOST_TEST((ulps(canonical_exp(x), std::exp(static_cast<long double>(x))) < 2.0L));
  BOOST_TEST(canonical_exp(0.0f) == 1.0f);
  BOOST_TEST(canonical_exp(-0.0f) == 1.0f);
  BOOST_TEST(canonical_exp(-1000.0f) == 0.0f);
  BOOST_TEST(std::isfinite(canonical_exp(1000.0f)));
}

BOOST_AUTO_TEST_CASE(silu_is_the_written_sequence_of_operations) {
  for_each_row([](const KernelSet& row) {
    Stream stream(2);
    for (const std::size_t n : kLengths) {
      Guarded<float> gate(n), up(n), out(n);
      fill_wild(gate, 8, stream);
      fill_wild(up, 8, stream);
      row.silu_mul(gate.data(), up.data(), out.data(), n);
      bool same = true;
      for (std::size_t i = 0; i < n; ++i) {
        const float silu = gate[i] / (1.0f + canonical_exp(-gate[i]));
        same = same && bits(out[i]) == bits(silu * up[i]);
      }
      BOOST_TEST(same, "n " << n);
      row.silu_mul(gate.data(), up.data(), gate.data(), n);
      BOOST_TEST(gate.same_bytes(out), "in place, n " << n);
    }
  });
}

// The range of exp from underflow to overflow, in small steps, through the vector code.
BOOST_AUTO_TEST_CASE(exp_is_the_same_in_every_row) {
  constexpr std::size_t n = 200003;
  Guarded<float> gate(n), up(n), out(n), expected(n);
  for (std::size_t i = 0; i < n; ++i) {
    gate[i] = -110.0f + 220.0f * static_cast<float>(i) / static_cast<float>(n);
    up[i] = 1.0f;
  }
  reference_row().silu_mul(gate.data(), up.data(), expected.data(), n);
  for_each_row([&](const KernelSet& row) {
    row.silu_mul(gate.data(), up.data(), out.data(), n);
    BOOST_TEST(out.same_bytes(expected));
  });
}

BOOST_AUTO_TEST_CASE(rms_norm_is_exact_in_order_and_close_to_the_truth) {
  for_each_row([](const KernelSet& row) {
    Stream stream(3);
    for (const std::size_t n : kLengths) {
      Guarded<float> x(n), gain(n), out(n), plain(n);
      fill_wild(x, 10, stream);
      fill_wild(gain, 2, stream);
      row.rms_norm(x.data(), gain.data(), out.data(), n, 1e-5f);
      row.rms_norm(x.data(), nullptr, plain.data(), n, 1e-5f);
      const float squares =
          canonical_sum(n, [&](std::size_t i, float s) { return std::fma(x[i], x[i], s); });
      const float s = 1.0f / std::sqrt(squares / static_cast<float>(n) + 1e-5f);
      long double exact = 0;
      for (const float v : x) exact += static_cast<long double>(v) * v;
      exact = 1 / std::sqrt(exact / static_cast<long double>(n) + 1e-5L);
      BOOST_TEST((std::fabs(s - exact) <= 1e-5L * exact));
      bool same = true;
      for (std::size_t i = 0; i < n; ++i) {
        const float scaled = x[i] * s;
        same = same && bits(plain[i]) == bits(scaled) && bits(out[i]) == bits(scaled * gain[i]);
      }
      BOOST_TEST(same, "n " << n);
      row.rms_norm(x.data(), gain.data(), x.data(), n, 1e-5f);
      BOOST_TEST(x.same_bytes(out), "in place, n " << n);
    }
  });
}

BOOST_AUTO_TEST_CASE(rope_rotates_the_two_halves) {
  for_each_row([](const KernelSet& row) {
    Stream stream(6);
    for (const std::size_t half : {1, 4, 8, 10, 16, 20, 32, 64, 100}) {
      Guarded<float> x(2 * half), before(2 * half), cos(half), sin(half);
      fill_wild(before, 10, stream);
      std::copy(before.begin(), before.end(), x.begin());
      for (std::size_t i = 0; i < half; ++i) {
        cos[i] = stream.real();
        sin[i] = stream.real();
      }
      row.rope(x.data(), cos.data(), sin.data(), 2 * half);
      bool same = true;
      for (std::size_t i = 0; i < half; ++i) {
        const float a = before[i], b = before[i + half];
        const float bs = b * sin[i], as = a * sin[i];
        same = same && bits(x[i]) == bits(std::fma(a, cos[i], -bs)) &&
               bits(x[i + half]) == bits(std::fma(b, cos[i], as));
      }
      BOOST_TEST(same, "half " << half);
    }
  });
}

BOOST_AUTO_TEST_CASE(quantisation_rounds_ties_to_even_and_sums_squares) {
  for_each_row([](const KernelSet& row) {
    Stream stream(7);
    for (const std::size_t n : kLengths) {
      Guarded<float> x(n);
      for (float& v : x)
        v = stream.below(3) == 0 ? static_cast<float>(stream.below(21)) - 10.0f : stream.wild(28);
      Guarded<i32> out(n);
      const u64 squares = row.quantize_row(x.data(), 0.5f, out.data(), n);
      u64 expected = 0;
      bool same = true;
      for (std::size_t i = 0; i < n; ++i) {
        const i64 rounded = static_cast<i64>(std::rint(x[i] * 0.5f));
        expected += static_cast<u64>(rounded * rounded);
        same = same && out[i] == rounded;
      }
      BOOST_TEST(same, "n " << n);
      BOOST_TEST(squares == expected);
    }
    Guarded<float> ties(4);
    const float values[] = {0.5f, 1.5f, -0.5f, -2.5f};
    std::copy(std::begin(values), std::end(values), ties.begin());
    Guarded<i32> even(4);
    BOOST_TEST(row.quantize_row(ties.data(), 1.0f, even.data(), 4) == 8u);
    BOOST_TEST((even[0] == 0 && even[1] == 2 && even[2] == 0 && even[3] == -2));
  });
}

BOOST_AUTO_TEST_CASE(dequantisation_is_the_written_sequence_of_operations) {
  for_each_row([](const KernelSet& row) {
    Stream stream(8);
    for (const std::size_t n : kLengths)
      for (const bool with_bias : {false, true})
        for (const bool with_residual : {false, true}) {
          Guarded<i64> r(n);
          for (i64& v : r) v = static_cast<i64>(stream.next()) >> stream.below(60);
          r[0] = (i64{1} << 53) + (i64{1} << 29) + 1; // would round twice by way of a double
          Guarded<float> scale(n), bias(n), residual(n), out(n);
          fill_wild(scale, 10, stream);
          fill_wild(bias, 10, stream);
          fill_wild(residual, 10, stream);
          row.dequantize_row(r.data(), 0.013f, scale.data(), with_bias ? bias.data() : nullptr,
                             with_residual ? residual.data() : nullptr, out.data(), n);
          bool same = true;
          for (std::size_t j = 0; j < n; ++j) {
            float value = static_cast<float>(r[j]) * 0.013f;
            value *= scale[j];
            if (with_bias) value += bias[j];
            if (with_residual) value += residual[j];
            same = same && bits(out[j]) == bits(value);
          }
          BOOST_TEST(same, "n " << n);
          if (with_residual) {
            row.dequantize_row(r.data(), 0.013f, scale.data(), with_bias ? bias.data() : nullptr,
                               residual.data(), residual.data(), n);
            BOOST_TEST(residual.same_bytes(out), "in place, n " << n);
          }
        }
  });
}

BOOST_AUTO_TEST_CASE(rope_angles_are_rounded_cosines_and_sines) {
  constexpr std::size_t n = 64;
  Guarded<float> frequency(n), cos(n), sin(n);
  for (std::size_t i = 0; i < n; ++i)
    frequency[i] = static_cast<float>(std::pow(500000.0, -2.0 * static_cast<double>(i) / 128.0));
  for (const u32 position :
       {0u, 1u, 2u, 3u, 22u, 355u, 4095u, 65537u, 131071u, 104348u, 1u << 24, 4294967295u}) {
    rope_angles(position, frequency.data(), n, cos.data(), sin.data());
    for (std::size_t i = 0; i < n; ++i) {
      const float angle = static_cast<float>(position) * frequency[i];
      // Rounded once: half a unit, and a little for the rare near tie.
      BOOST_TEST((ulps(cos[i], std::cos(static_cast<long double>(angle))) < 0.5001L),
                 "cos of " << angle);
      BOOST_TEST((ulps(sin[i], std::sin(static_cast<long double>(angle))) < 0.5001L),
                 "sin of " << angle);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
