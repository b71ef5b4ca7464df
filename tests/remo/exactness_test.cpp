// The lattice scheme gives the exact integer product, bit for bit what the clear scheme gives.
#include <boost/test/unit_test.hpp>

#include <array>
#include <cstdlib>
#include <memory>
#include <vector>

#include "kernels/kernel_set.hpp"
#include "remo/activation_rows.hpp"
#include "remo/bounds.hpp"
#include "tests/remo/support/test_linear.hpp"
#include "tests/remo/support/test_worker.hpp"

using namespace talaria;
using namespace talaria::remo;
using namespace talaria::remo::testing;

namespace {

constexpr ReplyFormat kFormats[] = {ReplyFormat::full, ReplyFormat::switched};

/// One set of parameters, both integer schemes in both reply formats, and a worker.
struct House {
  explicit House(const LatticeParameters& given) : parameters(given), worker(parameters) {
    for (const ReplyFormat format : kFormats)
      for (const SchemeKind kind : {SchemeKind::lattice, SchemeKind::clear}) {
        SchemeOptions options;
        options.kind = kind;
        options.parameters = &parameters;
        options.reply = format;
        schemes.push_back(make_scheme(options));
      }
  }
  House(const House&) = delete;

  MaskingScheme& scheme(SchemeKind kind, ReplyFormat format) {
    return *schemes[2 * static_cast<std::size_t>(format) + (kind == SchemeKind::clear)];
  }

  LatticeParameters parameters;
  TestWorker worker;
  std::vector<std::unique_ptr<MaskingScheme>> schemes;
};

/// What any scheme has to return, by plain loops.
Matrix<float> expected_result(const House& house, const TestLinear& linear, const Matrix<float>& x,
                              const Matrix<float>& residual) {
  const LinearBounds bounds = linear_bounds(house.parameters, linear.name, linear.d_in,
                                            kernels::max_column_norm(linear.weights));
  Matrix<float> out(x.rows(), linear.d_out);
  std::vector<i32> q(linear.d_in);
  for (std::size_t r = 0; r < x.rows(); ++r) {
    const float row_scale =
        quantize_activation(x.row_span(r), bounds.activation_norm, linear.name, q.data());
    const std::vector<i64> product = linear.exact_product(q.data());
    for (std::size_t j = 0; j < linear.d_out; ++j) {
      float value = static_cast<float>(product[j]) * row_scale * linear.scale[j];
      if (!linear.bias.empty()) value += linear.bias[j];
      if (residual.data() != nullptr) value += residual(r, j);
      out(r, j) = value;
    }
  }
  return out;
}

Matrix<float> result_of(MaskingScheme& scheme, House& house, const TestLinear& linear,
                        const Matrix<float>& x, const Matrix<float>& residual, Rng& rng) {
  SilentProgress progress;
  const auto masked_linear = scheme.prepare(linear.spec(), house.worker, rng, progress);
  Masked masked = masked_linear->mask(x.view(), masks_for(*masked_linear, x.rows(), rng));
  const WorkerProduct product = house.worker.product(masked.tensor);
  MatrixView<const float> added;
  if (residual.data() != nullptr) added = residual.view();
  return masked_linear->unmask(masked.opening, product, added).value();
}

bool exact(House& house, const TestLinear& linear, const Matrix<float>& x,
           const Matrix<float>& residual, ReplyFormat format, u64 seed) {
  house.worker.hold(linear.matrix, copy_of(linear.weights));
  auto rng = seeded_rng(seed);
  const Matrix<float> expected = expected_result(house, linear, x, residual);
  for (const SchemeKind kind : {SchemeKind::lattice, SchemeKind::clear})
    if (!same_bits(result_of(house.scheme(kind, format), house, linear, x, residual, rng),
                   expected))
      return false;
  return true;
}

} // namespace

BOOST_AUTO_TEST_SUITE(exactness)

BOOST_AUTO_TEST_CASE(ten_thousand_random_layers_equal_the_integer_product_bit_for_bit) {
  House houses[] = {House(toy_parameters("S48", 16, 2)), House(toy_parameters("S46", 32, 1)),
                    House(toy_parameters("S40", 8, 3)),  House(toy_parameters("S54", 16, 1)),
                    House(toy_parameters("S48", 8, 9)),  House(toy_parameters("R48", 16, 2)),
                    House(toy_parameters("R43", 16, 2))};
  constexpr u64 kRuns = 10000;
  for (u64 seed = 0; seed < kRuns; ++seed) {
    TestRandom random(seed);
    House& house = houses[seed % std::size(houses)];
    const auto kind = static_cast<Weights>(random.between(0, 4));
    const std::size_t d_in = static_cast<std::size_t>(random.between(1, random.coin() ? 9 : 70));
    const std::size_t d_out = static_cast<std::size_t>(random.between(1, random.coin() ? 9 : 70));
    const TestLinear linear(d_in, d_out, random.coin(), kind, random.coin(), random);
    const std::size_t rows = static_cast<std::size_t>(random.between(1, 3));
    const auto shape = static_cast<Activations>(random.between(0, 6));
    const Matrix<float> x = test_rows(rows, d_in, shape, random);
    Matrix<float> residual;
    if (random.coin()) residual = test_rows(rows, d_out, Activations::gaussian, random);
    const ReplyFormat format = kFormats[random.coin()];
    BOOST_REQUIRE_MESSAGE(exact(house, linear, x, residual, format, seed),
                          "seed " << seed << ", shape [" << d_in << ", " << d_out << "], weights "
                                  << static_cast<int>(kind) << ", activations "
                                  << static_cast<int>(shape));
  }
}

BOOST_AUTO_TEST_CASE(layers_as_wide_as_models_have_them_are_exact) {
  // Of R48, the widest with the largest norms are words of q.
  House houses[] = {House(toy_parameters("S48", 16, 2)), House(toy_parameters("S54", 16, 1)),
                    House(toy_parameters("R48", 16, 2)), House(toy_parameters("R43", 16, 2))};
  TestRandom random(1);
  for (House& house : houses)
    for (const std::size_t d_in : {1u, 17u, 4096u, 14336u})
      for (const Weights kind : {Weights::extreme, Weights::gaussian})
        for (const ReplyFormat format : kFormats) {
          const bool int16 = kind == Weights::gaussian;
          // Below 4 bits of precision: refused.
          if (house.parameters.name == "R43" && d_in == 14336 && !int16) continue;
          const TestLinear linear(d_in, 9, int16, kind, false, random);
          const Matrix<float> x = test_rows(2, d_in, Activations::gaussian, random);
          BOOST_TEST(exact(house, linear, x, {}, format, d_in),
                     house.parameters.name << " " << d_in);
        }
}

BOOST_AUTO_TEST_CASE(an_activation_aligned_with_a_column_reaches_the_range_and_stays_exact) {
  // Cauchy and Schwarz are tight here: the product is as large as it can be.
  House houses[] = {House(toy_parameters("S48", 16, 2)), House(toy_parameters("R48", 16, 2)),
                    House(toy_parameters("R43", 16, 2))};
  TestRandom random(2);
  for (House& house : houses)
    for (const std::size_t d_in : {1u, 64u, 4096u})
      for (const ReplyFormat format : kFormats) {
        const TestLinear linear(d_in, 5, false, Weights::extreme, false, random);
        Matrix<float> x(2, d_in);
        for (std::size_t i = 0; i < d_in; ++i) {
          x(0, i) = linear.weights.at(i, 3);
          x(1, i) = -x(0, i);
        }
        BOOST_TEST(exact(house, linear, x, {}, format, d_in), house.parameters.name << d_in);
      }
}

BOOST_AUTO_TEST_CASE(every_accepted_set_is_exact_in_its_real_ring) {
  TestRandom random(3);
  for (const LatticeParameters& set : kAcceptedParameters) {
    House house(set);
    for (const ReplyFormat format : kFormats) {
      const TestLinear linear(200, 70, format == ReplyFormat::full, Weights::uniform, true, random);
      const Matrix<float> x = test_rows(5, 200, Activations::gaussian, random);
      BOOST_TEST(exact(house, linear, x, {}, format, 1), set.name);
    }
  }
}

BOOST_AUTO_TEST_CASE(more_rows_than_a_block_holds_are_exact) {
  House house(toy_parameters("S48", 8, 2));
  TestRandom random(4);
  const TestLinear linear(33, 20, true, Weights::uniform, true, random);
  const Matrix<float> x = test_rows(37, 33, Activations::gaussian, random);
  const Matrix<float> residual = test_rows(37, 20, Activations::gaussian, random);
  for (const ReplyFormat format : kFormats)
    BOOST_TEST(exact(house, linear, x, residual, format, 4));
}

BOOST_AUTO_TEST_CASE(without_verification_results_are_the_same) {
  const LatticeParameters toy = toy_parameters("S48", 16, 2);
  House house(toy);
  TestRandom random(5);
  const TestLinear linear(40, 30, false, Weights::uniform, true, random);
  house.worker.hold(linear.matrix, copy_of(linear.weights));
  const Matrix<float> x = test_rows(4, 40, Activations::gaussian, random);
  const Matrix<float> expected = expected_result(house, linear, x, {});
  for (const SchemeKind kind : {SchemeKind::lattice, SchemeKind::clear})
    for (const ReplyFormat format : kFormats) {
      SchemeOptions options;
      options.kind = kind;
      options.parameters = &toy;
      options.reply = format;
      options.verify = false;
      auto rng = seeded_rng(5);
      BOOST_TEST(same_bits(result_of(*make_scheme(options), house, linear, x, {}, rng), expected));
    }
}

BOOST_AUTO_TEST_CASE(ten_thousand_random_layers_at_the_edge_of_rounding_are_exact) {
  // Norms for which the bounds change over from words of p to words of q, activations that reach
  // the range.
  House houses[] = {House(toy_parameters("R48", 8, 2)), House(toy_parameters("R43", 8, 2))};
  std::size_t rounded = 0;
  std::size_t full = 0;
  constexpr u64 kRuns = 10000;
  for (u64 seed = 0; seed < kRuns; ++seed) {
    TestRandom random(seed);
    House& house = houses[seed % std::size(houses)];
    const auto d_in = static_cast<std::size_t>(random.between(1, 300));
    const bool wide = seed % 50 < 2; // few, as they take long
    constexpr std::size_t kWidths[] = {3000, 4096, 6000};
    const TestLinear linear(wide ? kWidths[d_in % 3] : d_in, 3, false,
                            wide ? Weights::extreme : Weights::uniform, false, random);
    const LinearBounds bounds = linear_bounds(house.parameters, linear.name, linear.d_in,
                                              kernels::max_column_norm(linear.weights));
    ++(bounds.rounded ? rounded : full);
    Matrix<float> x(1, linear.d_in);
    const std::size_t aligned = static_cast<std::size_t>(random.between(0, 2));
    for (std::size_t i = 0; i < linear.d_in; ++i)
      x(0, i) = random.coin() ? linear.weights.at(i, aligned)
                              : linear.weights.at(i, aligned) + 0.25f * random.normal();
    BOOST_REQUIRE_MESSAGE(exact(house, linear, x, {}, kFormats[random.coin()], seed),
                          "seed " << seed << ", d_in " << linear.d_in);
  }
  BOOST_TEST(rounded > kRuns / 2);
  BOOST_TEST(full > 50u);
}

BOOST_AUTO_TEST_CASE(a_rounded_product_travels_in_words_of_five_bytes_and_its_hint_in_six) {
  TestRandom random(7);
  for (const char* name : {"R48", "R43"}) {
    House house(toy_parameters(name, 16, 2));
    for (const std::size_t d_in : {100u, 14336u}) {
      const TestLinear linear(d_in, 9, false, Weights::gaussian, false, random);
      house.worker.hold(linear.matrix, copy_of(linear.weights));
      const bool rounded = d_in == 100 || house.parameters.name == "R43";
      for (const ReplyFormat format : kFormats) {
        auto rng = seeded_rng(7);
        SilentProgress progress;
        const auto prepared = house.scheme(SchemeKind::lattice, format)
                                  .prepare(linear.spec(), house.worker, rng, progress);
        const Matrix<float> x = test_rows(2, d_in, Activations::gaussian, random);
        const Masked masked = prepared->mask(x.view(), masks_for(*prepared, 2, rng));
        BOOST_TEST(prepared->word_bytes() == (rounded ? 5u : 6u));
        BOOST_TEST(masked.tensor.bytes->size() == 2 * d_in * prepared->word_bytes());
        BOOST_TEST((masked.tensor.kind == kind_of_words(rounded, format == ReplyFormat::switched)));
        BOOST_TEST(prepared->hint_bytes() == 2 * 16 * 16 * 6u);
        BOOST_TEST(prepared->mask_row_bytes() == round_up(d_in * prepared->word_bytes(), 64) + 64);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(every_instruction_set_sends_and_recovers_the_same_bits) {
  for (const char* name : {"S48", "R48", "R43"}) {
    const LatticeParameters toy = toy_parameters(name, 64, 2);
    TestRandom random(6);
    const TestLinear linear(130, 70, true, Weights::uniform, true, random);
    const Matrix<float> x = test_rows(3, 130, Activations::gaussian, random);
    const kernels::KernelSet& before = kernels::active_kernels();
    std::vector<u8> sent;
    Matrix<float> first;
    for (const kernels::KernelSet& set : kernels::kernel_sets()) {
      if ((set.needs & ~kernels::cpu_features()) != 0) continue;
      kernels::set_active_kernels(set);
      House house(toy);
      house.worker.hold(linear.matrix, copy_of(linear.weights));
      auto rng = seeded_rng(6);
      SilentProgress progress;
      const auto masked_linear = house.scheme(SchemeKind::lattice, ReplyFormat::full)
                                     .prepare(linear.spec(), house.worker, rng, progress);
      Masked masked = masked_linear->mask(x.view(), masks_for(*masked_linear, 3, rng));
      const std::vector<u8> bytes(masked.tensor.bytes->begin(), masked.tensor.bytes->end());
      Matrix<float> y =
          masked_linear->unmask(masked.opening, house.worker.product(masked.tensor), {}).value();
      if (sent.empty()) {
        sent = bytes;
        first = std::move(y);
      } else {
        BOOST_TEST(bytes == sent, set.name);
        BOOST_TEST(same_bits(y, first), set.name);
      }
    }
    kernels::set_active_kernels(before);
    BOOST_TEST(!sent.empty());
  }
}

BOOST_AUTO_TEST_SUITE_END()
