// The baseline for speed: int8 arithmetic that is right, repeatable, and hides nothing.
#include <boost/test/unit_test.hpp>

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#include "kernels/kernel_set.hpp"
#include "tests/remo/support/test_linear.hpp"
#include "tests/remo/support/test_worker.hpp"

using namespace talaria;
using namespace talaria::remo;
using namespace talaria::remo::testing;

namespace {

struct Plain {
  explicit Plain(std::size_t d_in, std::size_t d_out, bool two_column_sets = false)
      : random(1), worker(kDefaultParameters),
        linear(d_in, d_out, two_column_sets, Weights::uniform, true, random) {
    worker.hold(linear.matrix, copy_of(linear.weights));
    SchemeOptions options;
    options.kind = SchemeKind::plain;
    auto rng = seeded_rng(1);
    SilentProgress progress;
    prepared = make_scheme(options)->prepare(linear.spec(), worker, rng, progress);
  }
  Matrix<float> result_of(const Matrix<float>& x, MatrixView<const float> residual = {}) {
    Masked masked = prepared->mask(x.view(), {});
    return prepared->unmask(masked.opening, worker.product(masked.tensor), residual).value();
  }

  TestRandom random;
  TestWorker worker;
  TestLinear linear;
  std::unique_ptr<MaskedLinear> prepared;
};

} // namespace

BOOST_AUTO_TEST_SUITE(plain)

BOOST_AUTO_TEST_CASE(results_are_the_integer_product_of_the_rounded_rows) {
  for (const bool int16 : {false, true}) {
    Plain plain(77, 70, int16);
    const Matrix<float> x = test_rows(9, 77, Activations::gaussian, plain.random);
    const Matrix<float> residual = test_rows(9, 70, Activations::gaussian, plain.random);
    const Matrix<float> y = plain.result_of(x, residual.view());
    std::vector<i32> q(77);
    for (std::size_t r = 0; r < 9; ++r) {
      float largest = 0;
      for (const float v : x.row_span(r)) largest = std::max(largest, std::fabs(v));
      const float scale = 127 / largest;
      for (std::size_t i = 0; i < 77; ++i) q[i] = static_cast<i32>(std::rint(x(r, i) * scale));
      const std::vector<i64> product = plain.linear.exact_product(q.data());
      for (std::size_t j = 0; j < 70; ++j) {
        const float value = static_cast<float>(product[j]) * (1 / scale) * plain.linear.scale[j] +
                            plain.linear.bias[j] + residual(r, j);
        BOOST_TEST_REQUIRE(y(r, j) == value);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(rows_do_not_influence_each_other) {
  Plain plain(130, 66);
  const Matrix<float> x = test_rows(15, 130, Activations::outlier, plain.random);
  const Matrix<float> together = plain.result_of(x);
  for (std::size_t r = 0; r < x.rows(); ++r) {
    Matrix<float> one(1, 130);
    std::memcpy(one.data(), x.row(r), 130 * sizeof(float));
    const Matrix<float> alone = plain.result_of(one);
    BOOST_TEST(std::memcmp(alone.data(), together.row(r), 66 * sizeof(float)) == 0);
  }
}

BOOST_AUTO_TEST_CASE(every_instruction_set_gives_the_same_bits) {
  const kernels::KernelSet& before = kernels::active_kernels();
  Matrix<float> first;
  for (const kernels::KernelSet& set : kernels::kernel_sets()) {
    if ((set.needs & ~kernels::cpu_features()) != 0) continue;
    kernels::set_active_kernels(set);
    Plain plain(515, 131);
    Matrix<float> y = plain.result_of(test_rows(7, 515, Activations::gaussian, plain.random));
    if (first.data() == nullptr)
      first = std::move(y);
    else
      BOOST_TEST(same_bits(y, first), set.name);
  }
  kernels::set_active_kernels(before);
  BOOST_TEST(first.data() != nullptr);
}

BOOST_AUTO_TEST_CASE(tiny_huge_and_zero_rows_keep_their_size) {
  Plain plain(40, 30);
  for (const Activations kind : {Activations::zero, Activations::tiny, Activations::huge,
                                 Activations::negative_zero, Activations::constant}) {
    const Matrix<float> x = test_rows(2, 40, kind, plain.random);
    const Matrix<float> y = plain.result_of(x);
    for (std::size_t r = 0; r < 2; ++r)
      for (std::size_t j = 0; j < 30; ++j) {
        double exact = plain.linear.bias[j], size = std::fabs(exact);
        for (std::size_t i = 0; i < 40; ++i) {
          const double term = static_cast<double>(x(r, i)) * plain.linear.weights.at(i, j) *
                              static_cast<double>(plain.linear.scale[j]);
          exact += term;
          size += std::fabs(term);
        }
        const bool near = std::fabs(static_cast<double>(y(r, j)) - exact) <= size / 20 + 0x1p-140;
        BOOST_TEST((near || size > 1e37), "activations " << static_cast<int>(kind));
      }
  }
}

BOOST_AUTO_TEST_CASE(what_is_not_finite_or_of_another_shape_is_refused) {
  Plain plain(20, 10);
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Matrix<float> x = test_rows(2, 20, Activations::gaussian, plain.random);
    x(1, 7) = bad;
    BOOST_CHECK_THROW(plain.prepared->mask(x.view(), {}), Error);
  }
  const Matrix<float> x = test_rows(2, 20, Activations::gaussian, plain.random);
  Masked masked = plain.prepared->mask(x.view(), {});
  WorkerProduct product = plain.worker.product(masked.tensor);
  product.kind = ProductKind::float32;
  const auto refused = plain.prepared->unmask(masked.opening, product, {});
  BOOST_TEST_REQUIRE(!refused);
  BOOST_TEST((refused.error().code() == Errc::verification));
}

BOOST_AUTO_TEST_SUITE_END()
