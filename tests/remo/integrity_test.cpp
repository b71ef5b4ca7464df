// No wrong bit passes: not in a reply, not in a hint, not in the worker's weights.
#include <boost/test/unit_test.hpp>

#include <cmath>
#include <cstring>
#include <memory>
#include <set>
#include <string>

#include "kernels/modulus.hpp"
#include "remo/integrity.hpp"
#include "tests/remo/support/test_linear.hpp"
#include "tests/remo/support/test_worker.hpp"

using namespace talaria;
using namespace talaria::remo;
using namespace talaria::remo::testing;

namespace {

/// A worker whose hint has one wrong bit.
class BadHintWorker final : public TestWorker {
public:
  using TestWorker::TestWorker;
  WorkerProduct hint_rows(u32 matrix, u32 first, u32 count) override {
    const WorkerProduct honest = TestWorker::hint_rows(matrix, first, count);
    return with_bit_flipped(honest, byte % honest.bytes->size(), bit);
  }
  std::size_t byte = 0;
  int bit = 0;
};

/// A linear under the lattice scheme, its worker, and one masked batch.
struct Exchange {
  explicit Exchange(u64 seed, ReplyFormat format = ReplyFormat::full,
                    SchemeKind kind = SchemeKind::lattice, const char* modulus = "S48")
      : random(seed), rng(seeded_rng(seed)), parameters(toy_parameters(modulus, 16, 2)),
        worker(parameters), linear(static_cast<std::size_t>(random.between(1, 60)),
                                   static_cast<std::size_t>(random.between(1, 40)), random.coin(),
                                   Weights::uniform, false, random) {
    SchemeOptions options;
    options.kind = kind;
    options.parameters = &parameters;
    options.reply = format;
    scheme = make_scheme(options);
    worker.hold(linear.matrix, copy_of(linear.weights));
    SilentProgress progress;
    masked_linear = scheme->prepare(linear.spec(), worker, rng, progress);
    x = test_rows(2, linear.d_in, Activations::gaussian, random);
    mask_again();
  }
  void mask_again() {
    masked = masked_linear->mask(x.view(), masks_for(*masked_linear, x.rows(), rng));
  }
  Result<Matrix<float>> unmask(const WorkerProduct& product) {
    return masked_linear->unmask(masked.opening, product, {});
  }

  TestRandom random;
  ChaChaRng rng;
  LatticeParameters parameters;
  TestWorker worker;
  TestLinear linear;
  std::unique_ptr<MaskingScheme> scheme;
  std::unique_ptr<MaskedLinear> masked_linear;
  Matrix<float> x;
  Masked masked;
};

bool is_rejection(const Result<Matrix<float>>& result) {
  return !result && result.error().code() == Errc::verification;
}

bool hint_rejected(const Error& error) {
  const std::string what = error.what();
  return error.code() == Errc::verification && what.find("layers.3.qkv") == 0 &&
         what.find("hint") != std::string::npos;
}

} // namespace

BOOST_AUTO_TEST_SUITE(integrity)

BOOST_AUTO_TEST_CASE(four_thousand_wrong_bits_in_replies_are_all_caught) {
  const char* moduli[] = {"S48", "S46", "S40", "S54", "R48", "R43"};
  for (u64 seed = 0; seed < 42; ++seed) {
    const SchemeKind kind = seed % 5 == 4 ? SchemeKind::clear : SchemeKind::lattice;
    Exchange exchange(seed, ReplyFormat::full, kind, moduli[seed % 6]);
    const WorkerProduct honest = exchange.worker.product(exchange.masked.tensor);
    for (int run = 0; run < 100; ++run) {
      const std::size_t byte = exchange.random.bits() % honest.bytes->size();
      const int bit = static_cast<int>(exchange.random.bits() % 8);
      BOOST_REQUIRE_MESSAGE(is_rejection(exchange.unmask(with_bit_flipped(honest, byte, bit))),
                            "seed " << seed << " byte " << byte << " bit " << bit);
      BOOST_REQUIRE(exchange.masked.opening != nullptr);
    }
    BOOST_TEST(bool(exchange.unmask(honest))); // and the same opening still takes the right one
    BOOST_TEST(exchange.masked.opening == nullptr);
  }
}

BOOST_AUTO_TEST_CASE(three_thousand_wrong_bits_in_hints_are_all_caught) {
  TestRandom random(1);
  const LatticeParameters toys[] = {toy_parameters("S48", 8, 2), toy_parameters("R43", 8, 2)};
  SilentProgress progress;
  for (u64 run = 0; run < 3000; ++run) {
    auto rng = seeded_rng(run);
    const LatticeParameters& toy = toys[run % 2];
    SchemeOptions options;
    options.parameters = &toy;
    const auto scheme = make_scheme(options);
    BadHintWorker worker(toy);
    const TestLinear linear(static_cast<std::size_t>(random.between(1, 20)),
                            static_cast<std::size_t>(random.between(1, 20)), random.coin(),
                            Weights::uniform, false, random);
    worker.hold(linear.matrix, copy_of(linear.weights));
    worker.byte = random.bits();
    worker.bit = static_cast<int>(random.bits() % 8);
    BOOST_CHECK_EXCEPTION(scheme->prepare(linear.spec(), worker, rng, progress), Error,
                          hint_rejected);
  }
}

BOOST_AUTO_TEST_CASE(three_thousand_wrong_bits_in_the_workers_weights_are_all_caught) {
  SilentProgress progress;
  for (u64 seed = 0; seed < 30; ++seed) {
    Exchange exchange(seed);
    kernels::PackedWeights& held = exchange.worker.weights(exchange.linear.matrix);
    for (int run = 0; run < 50; ++run) {
      const std::size_t i = exchange.random.bits() % held.d_in();
      const std::size_t j = exchange.random.bits() % held.d_out();
      const auto flip = static_cast<i8>(1u << (exchange.random.bits() % 8));
      held.at(i, j) = static_cast<i8>(held.at(i, j) ^ flip);
      BOOST_REQUIRE(is_rejection(exchange.unmask(exchange.worker.product(exchange.masked.tensor))));
      auto rng = seeded_rng(seed);
      BOOST_CHECK_EXCEPTION(
          exchange.scheme->prepare(exchange.linear.spec(), exchange.worker, rng, progress), Error,
          hint_rejected);
      held.at(i, j) = static_cast<i8>(held.at(i, j) ^ flip);
    }
    BOOST_TEST(bool(exchange.unmask(exchange.worker.product(exchange.masked.tensor))));
  }
}

BOOST_AUTO_TEST_CASE(a_wrong_bit_in_a_switched_reply_is_caught_or_changes_nothing) {
  int caught = 0;
  for (u64 seed = 0; seed < 500; ++seed) {
    Exchange exchange(seed, ReplyFormat::switched);
    const Matrix<float> right =
        exchange.unmask(exchange.worker.product(exchange.masked.tensor)).value();
    exchange.mask_again();
    const WorkerProduct honest = exchange.worker.product(exchange.masked.tensor);
    const std::size_t byte = exchange.random.bits() % honest.bytes->size();
    const auto result = exchange.unmask(with_bit_flipped(honest, byte, static_cast<int>(seed % 8)));
    BOOST_TEST(exchange.masked.opening == nullptr);
    caught += !result;
    BOOST_TEST((result ? same_bits(*result, right) : is_rejection(result)));
  }
  BOOST_TEST(caught > 300); // of four bytes, the high three matter but for a few bits
  BOOST_TEST(caught < 500);
}

BOOST_AUTO_TEST_CASE(one_bad_switched_reply_ends_the_use_of_all_secrets) {
  Exchange exchange(3, ReplyFormat::switched);
  const TestLinear other(20, 20, false, Weights::uniform, false, exchange.random, 8);
  exchange.worker.hold(8, copy_of(other.weights));
  SilentProgress progress;
  const auto other_linear =
      exchange.scheme->prepare(other.spec(), exchange.worker, exchange.rng, progress);
  const Matrix<float> x = test_rows(1, 20, Activations::gaussian, exchange.random);
  Masked under_way = other_linear->mask(x.view(), masks_for(*other_linear, 1, exchange.rng));
  const WorkerProduct other_reply = exchange.worker.product(under_way.tensor);

  const WorkerProduct honest = exchange.worker.product(exchange.masked.tensor);
  BOOST_TEST(is_rejection(exchange.unmask(with_bit_flipped(honest, 3, 7))));
  BOOST_TEST(exchange.masked.opening == nullptr);
  BOOST_CHECK_EXCEPTION((void)exchange.unmask(honest), Error,
                        [](const Error& error) { return error.code() == Errc::internal; });
  BOOST_TEST(is_rejection(other_linear->unmask(under_way.opening, other_reply, {})));
  BOOST_TEST(under_way.opening == nullptr);
  BOOST_CHECK_EXCEPTION(exchange.mask_again(), Error, [](const Error& error) {
    return error.code() == Errc::verification &&
           std::string(error.what()).find("full replies") != std::string::npos;
  });
}

BOOST_AUTO_TEST_CASE(a_reply_opens_once) {
  Exchange exchange(4);
  const WorkerProduct honest = exchange.worker.product(exchange.masked.tensor);
  BOOST_TEST(bool(exchange.unmask(honest)));
  BOOST_CHECK_THROW((void)exchange.unmask(honest), Error);
}

BOOST_AUTO_TEST_CASE(an_opening_of_another_matrix_is_a_broken_promise) {
  for (const SchemeKind kind : {SchemeKind::lattice, SchemeKind::clear}) {
    Exchange one(5, ReplyFormat::full, kind);
    Exchange other(5, ReplyFormat::full, kind);
    const WorkerProduct product = other.worker.product(other.masked.tensor);
    BOOST_CHECK_EXCEPTION((void)one.masked_linear->unmask(other.masked.opening, product, {}), Error,
                          [](const Error& error) { return error.code() == Errc::internal; });
    BOOST_TEST(bool(other.unmask(product)));
  }
}

BOOST_AUTO_TEST_CASE(a_reply_of_the_wrong_format_is_rejected_and_harmless) {
  Exchange exchange(6);
  const WorkerProduct honest = exchange.worker.product(exchange.masked.tensor);
  const auto altered = [&honest](auto change) {
    WorkerProduct product = honest;
    change(product);
    return product;
  };
  const WorkerProduct wrong[] = {
      altered([](WorkerProduct& p) { ++p.matrix; }),
      altered([](WorkerProduct& p) { p.kind = ProductKind::switched; }),
      altered([](WorkerProduct& p) { p.kind = ProductKind::float32; }),
      altered([](WorkerProduct& p) { ++p.rows; }),
      altered([](WorkerProduct& p) { --p.rows; }),
      altered([](WorkerProduct& p) { ++p.cols; }),
      altered([](WorkerProduct& p) { p.cols = 0; }),
      altered([](WorkerProduct& p) { p.bytes = nullptr; }),
      altered([](WorkerProduct& p) {
        p.bytes = std::make_shared<AlignedBuffer<u8>>(p.bytes->size() - 1);
      }),
      altered([](WorkerProduct& p) {
        auto bytes = std::make_shared<AlignedBuffer<u8>>(p.bytes->size());
        std::memset(bytes->data(), 0xff, bytes->size());
        p.bytes = std::move(bytes);
      }),
  };
  for (const WorkerProduct& product : wrong) BOOST_TEST(is_rejection(exchange.unmask(product)));
  BOOST_TEST(bool(exchange.unmask(honest)));
}

BOOST_AUTO_TEST_CASE(rows_in_another_order_are_rejected) {
  Exchange exchange(7);
  const WorkerProduct honest = exchange.worker.product(exchange.masked.tensor);
  auto bytes = std::make_shared<AlignedBuffer<u8>>(honest.bytes->size());
  const std::size_t half = bytes->size() / 2;
  std::memcpy(bytes->data(), honest.bytes->data() + half, half);
  std::memcpy(bytes->data() + half, honest.bytes->data(), half);
  WorkerProduct swapped = honest;
  swapped.bytes = std::move(bytes);
  BOOST_TEST(is_rejection(exchange.unmask(swapped)));
}

BOOST_AUTO_TEST_CASE(a_word_that_is_the_right_residue_but_not_canonical_is_rejected) {
  // A zero row in clear gives zero words, each of which a liar may also write as q.
  Exchange exchange(8, ReplyFormat::full, SchemeKind::clear);
  exchange.x = test_rows(1, exchange.linear.d_in, Activations::zero, exchange.random);
  exchange.mask_again();
  const WorkerProduct honest = exchange.worker.product(exchange.masked.tensor);
  auto bytes = std::make_shared<AlignedBuffer<u8>>(honest.bytes->size());
  BOOST_TEST(honest.bytes->span() == bytes->span(), boost::test_tools::per_element());
  kernels::store_word(bytes->data(), exchange.parameters.q, 6);
  WorkerProduct product = honest;
  product.bytes = std::move(bytes);
  BOOST_TEST(is_rejection(exchange.unmask(product)));
  BOOST_TEST(bool(exchange.unmask(honest)));
}

BOOST_AUTO_TEST_CASE(an_error_names_the_matrix_and_no_value) {
  Exchange exchange(9);
  const WorkerProduct honest = exchange.worker.product(exchange.masked.tensor);
  const auto result = exchange.unmask(with_bit_flipped(honest, 0, 0));
  BOOST_REQUIRE(!result);
  BOOST_TEST(std::string(result.error().what()) ==
             "layers.3.qkv: the worker's answer is not the product (check before decoding)");
}

BOOST_AUTO_TEST_CASE(the_check_has_independent_vectors_enough_for_96_bits) {
  TestRandom random(10);
  const TestLinear linear(20, 10, false, Weights::uniform, false, random);
  for (const LatticeParameters& set : kAcceptedParameters) {
    auto rng = seeded_rng(10);
    const kernels::Modulus q =
        set.rounds() ? set.rounded_words().modulus : set.full_words().modulus;
    const ProductCheck check(linear.weights, q, set.check_vectors, rng);
    std::vector<i32> x(20);
    x[4] = 1;
    const auto dots = check.sent(nullptr, x.data()).integers;
    BOOST_TEST(std::set<u64>(dots.begin(), dots.end()).size() == 3u); // the third may be zero
    BOOST_TEST((dots[2] != 0) == (set.check_vectors == 3), set.name);
    std::vector<i64> r(10);
    for (std::size_t j = 0; j < r.size(); ++j) r[j] = linear.weights.at(4, j);
    BOOST_TEST((check.received(nullptr, r.data()).integers == dots));
    ++r[3];
    const auto wrong = check.received(nullptr, r.data()).integers;
    for (std::size_t v = 0; v < set.check_vectors; ++v) BOOST_TEST(wrong[v] != dots[v]);
    if (set.rounds()) // of masks' modulus too, for hints
      BOOST_TEST(set.check_vectors * std::log2(static_cast<double>(set.p)) > 96);
  }
}

BOOST_AUTO_TEST_CASE(a_reply_in_the_words_of_the_other_modulus_is_rejected) {
  Exchange exchange(11, ReplyFormat::full, SchemeKind::lattice, "R48");
  const WorkerProduct honest = exchange.worker.product(exchange.masked.tensor);
  BOOST_TEST((honest.kind == ProductKind::rounded));
  WorkerProduct other = honest;
  other.kind = ProductKind::residues;
  BOOST_TEST(is_rejection(exchange.unmask(other)));
  // Of as many bytes as rounded words are wide, and of the right kind, but beyond p.
  auto bytes = std::make_shared<AlignedBuffer<u8>>(honest.bytes->size());
  std::memcpy(bytes->data(), honest.bytes->data(), bytes->size());
  kernels::store_word(bytes->data(), exchange.parameters.p, 5);
  other = honest;
  other.bytes = std::move(bytes);
  BOOST_TEST(is_rejection(exchange.unmask(other)));
  BOOST_TEST(bool(exchange.unmask(honest)));
}

BOOST_AUTO_TEST_SUITE_END()
