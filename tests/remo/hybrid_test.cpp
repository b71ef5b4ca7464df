// The research scheme: right up to rounding, and never silently far from it.
#include <boost/test/unit_test.hpp>

#include <cmath>
#include <cstring>
#include <memory>
#include <string>

#include "tests/remo/support/test_linear.hpp"
#include "tests/remo/support/test_worker.hpp"

using namespace talaria;
using namespace talaria::remo;
using namespace talaria::remo::testing;

namespace {

struct Prepared {
  Prepared(bool two_column_sets, double rank, u64 seed = 1)
      : random(seed), rng(seeded_rng(seed)), worker(kDefaultParameters),
        linear(96, 50, two_column_sets, Weights::gaussian, true, random) {
    SchemeOptions options;
    options.kind = SchemeKind::hybrid;
    options.hybrid_rank = rank;
    scheme = make_scheme(options);
    worker.hold(linear.matrix, copy_of(linear.weights));
    SilentProgress progress;
    masked_linear = scheme->prepare(linear.spec(), worker, rng, progress);
    x = test_rows(3, 96, Activations::gaussian, random);
    for (std::size_t i = 0; i < 96; ++i) x(1, i) *= 100;
    for (std::size_t i = 0; i < 96; ++i) x(2, i) = 0;
    masked = masked_linear->mask(x.view(), masks_for(*masked_linear, 3, rng));
  }

  double weight(std::size_t i, std::size_t j) const {
    const double value = linear.weights.at(i, j);
    return linear.two_column_sets ? 256 * value + linear.weights.at(i, linear.d_out + j) : value;
  }

  TestRandom random;
  ChaChaRng rng;
  TestWorker worker;
  TestLinear linear;
  std::unique_ptr<MaskingScheme> scheme;
  std::unique_ptr<MaskedLinear> masked_linear;
  Matrix<float> x;
  Masked masked;
};

/// The reply with `delta` added to value `index`.
WorkerProduct disturbed(const WorkerProduct& honest, std::size_t index, float delta) {
  auto bytes = std::make_shared<AlignedBuffer<u8>>(honest.bytes->size());
  std::memcpy(bytes->data(), honest.bytes->data(), bytes->size());
  float value;
  std::memcpy(&value, bytes->data() + 4 * index, 4);
  value += delta;
  std::memcpy(bytes->data() + 4 * index, &value, 4);
  WorkerProduct out = honest;
  out.bytes = std::move(bytes);
  return out;
}

} // namespace

BOOST_AUTO_TEST_SUITE(hybrid)

BOOST_AUTO_TEST_CASE(results_are_the_product_up_to_rounding) {
  for (const bool int16 : {false, true})
    for (const double rank : {0.01, 0.5, 1.0}) {
      Prepared p(int16, rank);
      const Matrix<float> residual = test_rows(3, 50, Activations::gaussian, p.random);
      const Matrix<float> y =
          p.masked_linear
              ->unmask(p.masked.opening, p.worker.product(p.masked.tensor), residual.view())
              .value();
      BOOST_TEST(p.masked.opening == nullptr);
      for (std::size_t r = 0; r < 3; ++r) {
        double wrong = 0;
        double size = 0;
        for (std::size_t j = 0; j < 50; ++j) {
          double exact = 0;
          for (std::size_t i = 0; i < 96; ++i) exact += p.x(r, i) * p.weight(i, j);
          exact *= p.linear.scale[j];
          size += exact * exact;
          exact += p.linear.bias[j] + residual(r, j);
          wrong += (y(r, j) - exact) * (y(r, j) - exact);
        }
        const double reference = r == 2 ? 1e4 * p.weight(0, 0) * p.weight(0, 0) + 1 : size;
        BOOST_TEST(std::sqrt(wrong / reference) < 1e-4, int16 << " " << rank << " row " << r);
      }
    }
}

BOOST_AUTO_TEST_CASE(the_mask_has_the_amplitude_asked_for_and_covers_zero_rows) {
  Prepared p(false, 0.5);
  const auto* sent = reinterpret_cast<const float*>(p.masked.tensor.bytes->data());
  for (std::size_t r = 0; r < 3; ++r) {
    double signal = r == 2 ? 96 : 0;
    double mask = 0;
    for (std::size_t i = 0; i < 96; ++i) {
      signal += p.x(r, i) * p.x(r, i);
      mask += std::pow(sent[r * 96 + i] - p.x(r, i), 2);
    }
    const double ratio = std::sqrt(mask / signal);
    BOOST_TEST((ratio > 5 && ratio < 20), r << " " << ratio);
  }
}

BOOST_AUTO_TEST_CASE(one_disturbed_value_is_caught_beyond_rounding) {
  Prepared p(true, 0.5);
  const WorkerProduct honest = p.worker.product(p.masked.tensor);
  for (std::size_t index = 0; index < 3 * 100; index += 7) {
    const float delta = index / 100 == 1 ? 1e5f : 1e3f; // rounding: below 1e-2 of that
    const auto result =
        p.masked_linear->unmask(p.masked.opening, disturbed(honest, index, delta), {});
    BOOST_TEST((!result && result.error().code() == Errc::verification), index);
  }
  for (const float bad : {INFINITY, NAN}) {
    const auto result = p.masked_linear->unmask(p.masked.opening, disturbed(honest, 5, bad), {});
    BOOST_TEST(!result);
  }
  WorkerProduct short_one = honest;
  short_one.rows = 2;
  BOOST_TEST(!p.masked_linear->unmask(p.masked.opening, short_one, {}));
  BOOST_TEST(bool(p.masked_linear->unmask(p.masked.opening, honest, {})));
}

BOOST_AUTO_TEST_CASE(a_hint_of_other_weights_is_refused) {
  Prepared p(false, 0.5);
  kernels::PackedWeights& held = p.worker.weights(p.linear.matrix);
  held.at(3, 4) = static_cast<i8>(held.at(3, 4) ^ 64);
  SilentProgress progress;
  BOOST_CHECK_EXCEPTION(p.scheme->prepare(p.linear.spec(), p.worker, p.rng, progress), Error,
                        [](const Error& error) {
                          return error.code() == Errc::verification &&
                                 std::string(error.what()).find("layers.3.qkv") == 0;
                        });
}

BOOST_AUTO_TEST_CASE(the_mask_does_not_reach_the_complement_of_its_rows) {
  // The leak its warning names: with rank ratio 0.5, what is orthogonal to M_pub travels in clear.
  // Masks of 96 rows span only half the space.
  Prepared p(false, 0.5);
  Matrix<float> zero(96, 96);
  const Masked masks = p.masked_linear->mask(zero.view(), masks_for(*p.masked_linear, 96, p.rng));
  const auto* sent = reinterpret_cast<const float*>(masks.tensor.bytes->data());
  std::vector<std::vector<double>> basis; // Gram and Schmidt
  for (std::size_t r = 0; r < 96; ++r) {
    std::vector<double> row(sent + r * 96, sent + (r + 1) * 96);
    const auto dot = [](const auto& a, const auto& b) {
      double sum = 0;
      for (std::size_t i = 0; i < 96; ++i) sum += a[i] * b[i];
      return sum;
    };
    const double before = dot(row, row);
    for (int pass = 0; pass < 2; ++pass)
      for (const auto& e : basis) {
        const double part = dot(row, e);
        for (std::size_t i = 0; i < 96; ++i) row[i] -= part * e[i];
      }
    const double after = dot(row, row);
    if (after < 1e-8 * before) continue;
    for (double& value : row) value /= std::sqrt(after);
    basis.push_back(std::move(row));
  }
  BOOST_TEST(basis.size() == 48u);
  BOOST_TEST(p.scheme->warning().find("complement of rowspace(M_pub)") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(impossible_options_are_refused) {
  SchemeOptions options;
  options.kind = SchemeKind::hybrid;
  for (const double rank : {0.0, -1.0, 1.01, static_cast<double>(NAN)}) {
    options.hybrid_rank = rank;
    BOOST_CHECK_THROW(make_scheme(options), Error);
  }
  options.hybrid_rank = 1;
  for (const double amplitude : {0.0, -1.0, static_cast<double>(NAN)}) {
    options.hybrid_amplitude = amplitude;
    BOOST_CHECK_THROW(make_scheme(options), Error);
  }
}

BOOST_AUTO_TEST_SUITE_END()
