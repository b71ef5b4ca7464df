#include <boost/test/unit_test.hpp>

#include <cmath>
#include <limits>
#include <vector>

#include "core/error.hpp"
#include "remo/activation_rows.hpp"
#include "tests/remo/support/test_linear.hpp"

using namespace talaria;
using namespace talaria::remo;
using namespace talaria::remo::testing;

namespace {

constexpr Activations kKinds[] = {Activations::gaussian, Activations::constant,
                                  Activations::outlier,  Activations::zero,
                                  Activations::tiny,     Activations::huge};

double norm_of(const std::vector<i32>& q) {
  double sum = 0;
  for (const i32 value : q) sum += static_cast<double>(value) * value;
  return std::sqrt(sum);
}

} // namespace

BOOST_AUTO_TEST_SUITE(activation_rows)

BOOST_AUTO_TEST_CASE(rows_stay_within_their_bound_and_use_nearly_all_of_it) {
  TestRandom random(1);
  for (const std::size_t n : {1u, 2u, 15u, 16u, 17u, 1000u, 4096u, 14336u, 131071u})
    for (const Activations kind : kKinds)
      for (const double slack : {16.0, 1e3, 1e6}) {
        const double bound = std::min(slack * std::sqrt(static_cast<double>(n) / 12), 0x1p29);
        const Matrix<float> x = test_rows(1, n, kind, random);
        std::vector<i32> q(n);
        const float row_scale = quantize_activation(x.row_span(0), bound, "x", q.data());
        BOOST_TEST_CONTEXT("n " << n << " kind " << static_cast<int>(kind) << " bound " << bound) {
          BOOST_TEST(norm_of(q) <= bound);
          if (kind == Activations::zero) {
            BOOST_TEST(row_scale == 0);
            BOOST_TEST(norm_of(q) == 0);
          } else {
            BOOST_TEST(norm_of(q) >= 0.99 * bound - 1.5 * std::sqrt(static_cast<double>(n)) - 2);
          }
        }
      }
}

BOOST_AUTO_TEST_CASE(every_value_is_within_half_a_scale_of_its_integer) {
  TestRandom random(2);
  for (const Activations kind : {Activations::gaussian, Activations::outlier, Activations::huge}) {
    const Matrix<float> x = test_rows(1, 500, kind, random);
    std::vector<i32> q(500);
    const double row_scale = quantize_activation(x.row_span(0), 1e5, "x", q.data());
    for (std::size_t i = 0; i < q.size(); ++i)
      BOOST_TEST(std::fabs(x(0, i) - q[i] * row_scale) <=
                 row_scale * (0.5 + 1e-6 * std::abs(q[i])));
  }
}

BOOST_AUTO_TEST_CASE(values_that_are_not_finite_are_refused_by_name_only) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()})
    for (const std::size_t at : {0u, 20u, 32u}) {
      std::vector<float> x(33, 1.5f);
      x[at] = bad;
      std::vector<i32> q(33);
      BOOST_CHECK_EXCEPTION(
          quantize_activation(x, 1e4, "layers.1.o", q.data()), Error, [](const Error& error) {
            return error.code() == Errc::internal &&
                   std::string(error.what()) == "layers.1.o: an activation is not finite";
          });
    }
}

BOOST_AUTO_TEST_SUITE_END()
