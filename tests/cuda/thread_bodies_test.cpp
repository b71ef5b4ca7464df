#include "kernels/cuda/thread_bodies.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <vector>

#include "core/matrix.hpp"
#include "kernels/cuda/step_plan.hpp"
#include "remo/public/parameters.hpp"
#include "remo/public/reply_switch.hpp"
#include "tests/cuda/grid.hpp"
#include "tests/kernels/kernel_fixtures.hpp"

// The CPU takes every thread's part, and that of cuBLASLt, in the order a device would.
namespace talaria::kernels::cuda {

namespace {

using test::Stream;

constexpr u8 kUntouched = 0x5a;

PackedWeights random_weights(std::size_t d_in, std::size_t d_out, Stream& stream) {
  PackedWeights weights(d_in, d_out);
  for (std::size_t i = 0; i < d_in; ++i)
    for (std::size_t j = 0; j < d_out; ++j) weights.at(i, j) = static_cast<i8>(stream.next() >> 56);
  return weights;
}

/// Columns as they lie in device memory.
AlignedBuffer<i8> device_columns(const PackedWeights& weights, std::size_t depth) {
  AlignedBuffer<i8> columns(weights.panels() * PackedWeights::kPanel * depth);
  const PanelsToColumns job{reinterpret_cast<const u32*>(weights.panel(0)),
                            reinterpret_cast<u32*>(columns.data()), weights.panels(),
                            weights.groups(), depth};
  for_grid(unpack_blocks(job), 1, [&](const ThreadIndex& at) { unpack_thread(at, job); });
  return columns;
}

/// A whole product, cut as a device cuts it.
std::vector<u8> device_product(const std::vector<u8>& words, std::size_t rows,
                               const PackedWeights& weights, const Modulus& q, u64 reply_modulus,
                               std::size_t sums_bytes) {
  const std::size_t depth = round_up(weights.d_in(), kDepthStep);
  const auto columns = device_columns(weights, depth);
  const LimbFormat format(q);
  const std::size_t limb_rows = rows * static_cast<std::size_t>(format.limbs);
  AlignedBuffer<i8> limbs(limb_rows * depth);
  limbs[limbs.size() - 1] = 77;
  const WordsToLimbs split{
      words.data(), reinterpret_cast<u32*>(limbs.data()), rows, weights.d_in(), depth, format};
  split_grid(split);

  const ReplyFormat reply(q, reply_modulus);
  std::vector<u8> out(rows * weights.d_out() * static_cast<std::size_t>(reply.bytes), kUntouched);
  const std::size_t at_once = columns_at_once(product_rows(limb_rows), weights.d_out(), sums_bytes);
  const std::size_t padded = weights.panels() * PackedWeights::kPanel;
  AlignedBuffer<i32> sums(limb_rows * at_once);
  for (std::size_t first = 0; first < padded; first += at_once) {
    const std::size_t stride = std::min(at_once, padded - first);
    for (std::size_t r = 0; r < limb_rows; ++r)
      for (std::size_t j = 0; j < stride; ++j) {
        i32 sum = 0;
        for (std::size_t i = 0; i < depth; ++i)
          sum += limbs[r * depth + i] * columns[(first + j) * depth + i];
        sums[r * stride + j] = sum;
      }
    recombine_grid(SumsToReply{sums.data(), stride, rows, std::min(stride, weights.d_out() - first),
                               out.data(), weights.d_out(), first, Recombination(q), reply,
                               Packing(reply.bytes)});
  }
  return out;
}

std::vector<u8> random_words(std::size_t count, const Modulus& q, Stream& stream) {
  std::vector<u8> words(count * test::word_bytes(q));
  for (std::size_t i = 0; i < count; ++i)
    store_word(words.data() + i * test::word_bytes(q), stream.residue(q.q), q.word_bytes);
  return words;
}

std::vector<u8> reference_product(const std::vector<u8>& words, std::size_t rows,
                                  const PackedWeights& weights, const Modulus& q) {
  std::vector<u8> expected(rows * weights.d_out() * test::word_bytes(q));
  test::reference_row().residue_product(words.data(), rows, weights, q, expected.data(), 0,
                                        weights.panels());
  return expected;
}

struct Shape {
  std::size_t rows, d_in, d_out;
};
constexpr Shape kShapes[] = {{1, 1, 1},     {1, 5, 3},      {3, 17, 65},   {2, 64, 64},
                             {5, 63, 129},  {1, 100, 1027}, {4, 33, 1025}, {2, 7, 2113},
                             {3, 68, 1030}, {2, 12, 1028}};

} // namespace

BOOST_AUTO_TEST_CASE(a_grid_of_threads_makes_the_reference_product) {
  std::vector<u64> primes(std::begin(test::kPrimes), std::end(test::kPrimes));
  primes.push_back(remo::kRoundedPrime);
  for (const u64 prime : primes)
    for (const Shape& shape : kShapes)
      for (const std::size_t sums_bytes : {std::size_t{1}, std::size_t{1} << 15, kStepRows << 20}) {
        const Modulus q(prime);
        Stream stream(prime + shape.d_out);
        const auto weights = random_weights(shape.d_in, shape.d_out, stream);
        const auto words = random_words(shape.rows * shape.d_in, q, stream);
        BOOST_TEST(device_product(words, shape.rows, weights, q, 0, sums_bytes) ==
                       reference_product(words, shape.rows, weights, q),
                   "q " << prime << ", " << shape.rows << " x " << shape.d_in << " x "
                        << shape.d_out << ", sums " << sums_bytes);
      }
}

BOOST_AUTO_TEST_CASE(a_grid_of_threads_switches_as_the_protocol_defines_it) {
  for (const auto& parameters : remo::kAcceptedParameters)
    for (const Shape& shape : kShapes) {
      const remo::WordFormat format =
          parameters.rounds() ? parameters.rounded_words() : parameters.full_words();
      const Modulus q = format.modulus;
      Stream stream(shape.d_in);
      const auto weights = random_weights(shape.d_in, shape.d_out, stream);
      const auto words = random_words(shape.rows * shape.d_in, q, stream);
      auto full = reference_product(words, shape.rows, weights, q);
      full.resize(full.size() + 8);
      const auto expected = remo::switch_reply(format, full.data(), shape.rows * shape.d_out);
      const auto got = device_product(words, shape.rows, weights, q, parameters.reply_modulus,
                                      std::size_t{1} << 15);
      BOOST_TEST(std::equal(got.begin(), got.end(), expected.begin(), expected.end()),
                 parameters.name << ", " << shape.d_in << " x " << shape.d_out);
    }
}

BOOST_AUTO_TEST_CASE(the_longest_rows_of_extreme_values_do_not_overflow) {
  constexpr std::size_t kInputs = (1 << 17) - 1;
  for (const u64 prime : {test::kPrimes[2], test::kPrimes[3]}) {
    const Modulus q(prime);
    const LimbFormat format(q);
    PackedWeights weights(kInputs, 2);
    std::vector<u8> words(kInputs * test::word_bytes(q));
    // All digits -128, or the residue closest to it.
    const u64 lowest = format.largest + 1 < q.q ? format.largest + 1 : q.q - 1;
    for (std::size_t i = 0; i < kInputs; ++i) {
      weights.at(i, 0) = -128;
      weights.at(i, 1) = 127;
      store_word(words.data() + i * test::word_bytes(q), lowest, q.word_bytes);
    }
    BOOST_TEST(device_product(words, 1, weights, q, 0, 1 << 20) ==
               reference_product(words, 1, weights, q));
  }
}

BOOST_AUTO_TEST_CASE(every_column_is_in_one_run_and_the_runs_fit) {
  for (std::size_t rows = 16; rows <= product_rows(7 * kStepRows); rows += 16)
    for (const std::size_t columns : {1, 64, 65, 1000, 4096, 28672, 128256})
      for (const std::size_t bytes :
           {std::size_t{1}, std::size_t{1} << 20, std::size_t{64} << 20}) {
        const std::size_t at_once = columns_at_once(rows, columns, bytes);
        BOOST_TEST_REQUIRE(at_once % PackedWeights::kPanel == 0U);
        BOOST_TEST_REQUIRE(at_once >= PackedWeights::kPanel);
        BOOST_TEST_REQUIRE(at_once <= round_up(columns, PackedWeights::kPanel));
        BOOST_TEST_REQUIRE((at_once == PackedWeights::kPanel || at_once * rows * 4 <= bytes));
      }
  for (std::size_t rows = 1; rows <= 7 * kStepRows; ++rows) {
    BOOST_TEST_REQUIRE(product_rows(rows) >= rows);
    BOOST_TEST_REQUIRE(product_rows(rows) % 16 == 0U);
    BOOST_TEST_REQUIRE(product_rows(rows) <= product_rows(rows + 1));
  }
}

} // namespace talaria::kernels::cuda
