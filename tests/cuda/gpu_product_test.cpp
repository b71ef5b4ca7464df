#include <cmath>
#include <cstring>

#include "kernels/cuda/residue_math.hpp"
#include "remo/public/public_matrix.hpp"
#include "remo/public/reply_switch.hpp"
#include "tests/cuda/gpu_fixture.hpp"

namespace talaria::kernels::cuda::test {

namespace {

struct Shape {
  std::size_t d_in, d_out;
};
constexpr Shape kShapes[] = {{1, 1},    {5, 3},     {16, 64},   {63, 65},    {64, 1001},
                             {65, 129}, {333, 257}, {1024, 70}, {4097, 131}, {4096, 1027}};
constexpr std::size_t kRowCounts[] = {1, 2, 3, 7, 16, 17, 64, 65, 130};
constexpr u32 kMatrix = 12;

/// What travels with a set: rounded words if it rounds.
struct Words {
  remo::WordFormat format;
  RowFormat full;
  RowFormat switched;
};
Words words_of(const remo::LatticeParameters& parameters) {
  if (parameters.rounds())
    return {parameters.rounded_words(), RowFormat::rounded, RowFormat::rounded_switched};
  return {parameters.full_words(), RowFormat::residues, RowFormat::switched};
}

/// Those of Llama-3-8B on a GPU; with the fake runtime, smaller ones that are cut alike.
std::vector<Shape> large_shapes() {
  if (find_devices().front().name == "fake") return {{192, 640}};
  return {{4096, 28672}, {14336, 4096}, {4096, 6144}};
}

} // namespace

BOOST_AUTO_TEST_CASE(residue_products_equal_the_reference) {
  for (const auto& parameters : remo::kAcceptedParameters) {
    // Of a set that rounds, the words of masks are tested by those of the others.
    const Words set = words_of(parameters);
    const Modulus q = set.format.modulus;
    const auto accelerator = open_devices(options_for(parameters));
    Stream stream(q.q);
    for (const Shape& shape : kShapes) {
      const auto weights = random_weights(shape.d_in, shape.d_out, stream);
      accelerator->add(kMatrix, weights);
      for (const std::size_t rows : kRowCounts) {
        if (rows * shape.d_in * shape.d_out > 30'000'000) continue; // the reference is slow
        const auto words = random_words(rows * shape.d_in, q, stream);
        const auto got = product(*accelerator, kMatrix, set.full, words, rows);
        BOOST_TEST((got == reference_product(words, rows, weights, q)),
                   parameters.name << ", " << rows << " x " << shape.d_in << " x " << shape.d_out);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(large_products_equal_the_reference_in_columns_taken_at_random) {
  // cuBLASLt takes other kernels for many rows than for few, and for long rows.
  const auto& parameters = remo::kDefaultParameters;
  const Modulus q = parameters.modulus();
  const auto accelerator = open_devices(options_for(parameters));
  Stream stream(8);
  for (const Shape& shape : large_shapes()) {
    const auto weights = random_weights(shape.d_in, shape.d_out, stream);
    accelerator->add(kMatrix, weights);
    for (const std::size_t rows : {1U, 64U, 256U, 512U}) {
      const auto words = random_words(rows * shape.d_in, q, stream);
      const auto got = product(*accelerator, kMatrix, RowFormat::residues, words, rows);
      BOOST_TEST_REQUIRE(got.size() == rows * shape.d_out * 6);
      constexpr std::size_t kColumns = 40;
      PackedWeights some(shape.d_in, kColumns);
      std::vector<std::size_t> columns;
      for (std::size_t c = 0; c < kColumns; ++c) {
        columns.push_back(c == 0 ? shape.d_out - 1 : stream.below(shape.d_out));
        for (std::size_t i = 0; i < shape.d_in; ++i) some.at(i, c) = weights.at(i, columns[c]);
      }
      std::vector<u8> expected(rows * kColumns * 6);
      active_product_kernels().residue_product(words.data(), rows, some, q, expected.data(), 0,
                                               some.panels());
      std::size_t wrong = 0;
      for (std::size_t t = 0; t < rows; ++t)
        for (std::size_t c = 0; c < kColumns; ++c)
          wrong += std::memcmp(got.data() + (t * shape.d_out + columns[c]) * 6,
                               expected.data() + (t * kColumns + c) * 6, 6) != 0;
      BOOST_TEST(wrong == 0U, rows << " x " << shape.d_in << " x " << shape.d_out);
    }
  }
}

BOOST_AUTO_TEST_CASE(sums_at_the_bound_of_int32_do_not_overflow) {
  constexpr std::size_t kInputs = (1 << 17) - 1;
  const auto& parameters = remo::kDefaultParameters;
  const Modulus q = parameters.modulus();
  PackedWeights weights(kInputs, 2);
  std::vector<u8> words(kInputs * 6);
  const u64 lowest = LimbFormat(q).largest + 1; // the residue whose digits are -128 or next to it
  for (std::size_t i = 0; i < kInputs; ++i) {
    weights.at(i, 0) = -128;
    weights.at(i, 1) = 127;
    store_word(words.data() + i * 6, lowest, 6);
  }
  const auto accelerator = open_devices(options_for(parameters));
  accelerator->add(kMatrix, weights);
  BOOST_TEST((product(*accelerator, kMatrix, RowFormat::residues, words, 1) ==
              reference_product(words, 1, weights, q)));
}

BOOST_AUTO_TEST_CASE(switched_replies_equal_the_protocols) {
  for (const auto& parameters : remo::kAcceptedParameters) {
    const Words set = words_of(parameters);
    const Modulus q = set.format.modulus;
    const auto accelerator = open_devices(options_for(parameters));
    Stream stream(q.q + 1);
    for (const Shape& shape : kShapes) {
      const auto weights = random_weights(shape.d_in, shape.d_out, stream);
      accelerator->add(kMatrix, weights);
      for (const std::size_t rows : {1U, 3U, 17U}) {
        const auto words = random_words(rows * shape.d_in, q, stream);
        auto full = reference_product(words, rows, weights, q);
        full.resize(full.size() + 8); // words are read 8 bytes at a time
        const auto expected = remo::switch_reply(set.format, full.data(), rows * shape.d_out);
        const auto got = product(*accelerator, kMatrix, set.switched, words, rows);
        BOOST_TEST(std::equal(got.begin(), got.end(), expected.begin(), expected.end()),
                   parameters.name << ", " << rows << " x " << shape.d_in << " x " << shape.d_out);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(plain_products_equal_the_reference) {
  const auto accelerator = open_devices(options_for(remo::kDefaultParameters));
  Stream stream(3);
  for (const Shape& shape : kShapes) {
    const auto weights = random_weights(shape.d_in, shape.d_out, stream);
    accelerator->add(kMatrix, weights);
    for (const std::size_t rows : {1U, 16U, 65U}) {
      std::vector<u8> x(rows * shape.d_in);
      for (u8& value : x) value = static_cast<u8>(stream.next());
      std::vector<i32> expected(rows * shape.d_out);
      product_kernel_sets().back().plain_product(reinterpret_cast<const i8*>(x.data()), rows,
                                                 weights, expected.data(), 0, weights.panels());
      const auto got = product(*accelerator, kMatrix, RowFormat::int8, x, rows);
      BOOST_TEST_REQUIRE(got.size() == expected.size() * sizeof(i32));
      BOOST_TEST(std::memcmp(got.data(), expected.data(), got.size()) == 0,
                 rows << " x " << shape.d_in << " x " << shape.d_out);
    }
  }
}

BOOST_AUTO_TEST_CASE(sums_that_do_not_fit_at_once_change_nothing) {
  const auto& parameters = remo::kDefaultParameters;
  const Modulus q = parameters.modulus();
  Stream stream(4);
  const auto weights = random_weights(200, 1027, stream);
  const auto words = random_words(70 * 200, q, stream);
  const auto expected = reference_product(words, 70, weights, q);
  for (const std::size_t sums_bytes : {std::size_t{1}, std::size_t{300'000}}) {
    auto options = options_for(parameters);
    options.sums_bytes = sums_bytes;
    const auto accelerator = open_devices(options);
    accelerator->add(kMatrix, weights);
    BOOST_TEST((product(*accelerator, kMatrix, RowFormat::residues, words, 70) == expected));
  }
}

BOOST_AUTO_TEST_CASE(two_int8_column_sets_are_an_int16_product) {
  const auto& parameters = remo::kDefaultParameters;
  const Modulus q = parameters.modulus();
  constexpr std::size_t kInputs = 129;
  constexpr std::size_t kColumns = 67;
  Stream stream(5);
  const auto sets = random_weights(kInputs, 2 * kColumns, stream); // all high halves, then the low
  const auto accelerator = open_devices(options_for(parameters));
  accelerator->add(kMatrix, sets);
  const auto words = random_words(kInputs, q, stream);
  const auto got = product(*accelerator, kMatrix, RowFormat::residues, words, 1);
  for (std::size_t j = 0; j < kColumns; ++j) {
    u64 expected = 0;
    for (std::size_t i = 0; i < kInputs; ++i) {
      const i64 weight = 256 * sets.at(i, j) + sets.at(i, kColumns + j);
      expected = q.add(expected, q.mul(load_word(words.data() + i * 6, 6), q.from_signed(weight)));
    }
    const u64 high = load_word(got.data() + j * 6, 6);
    const u64 low = load_word(got.data() + (kColumns + j) * 6, 6);
    BOOST_TEST_REQUIRE(q.add(q.mul(high, 256), low) == expected);
  }
}

BOOST_AUTO_TEST_CASE(hints_equal_the_reference) {
  for (const auto& parameters : remo::kAcceptedParameters) {
    const Modulus q = parameters.modulus();
    const remo::PublicMatrix a(parameters, remo::public_matrix_seed(), 48);
    Stream stream(6);
    const auto weights = random_weights(48, 70, stream);
    const auto accelerator = open_devices(options_for(parameters));
    accelerator->add(kMatrix, weights);
    const std::vector<u8> rows(a.row(0), a.row(0) + a.bytes());
    BOOST_TEST((product(*accelerator, kMatrix, RowFormat::residues, rows, a.rows()) ==
                reference_product(rows, a.rows(), weights, q)),
               parameters.name);
  }
}

BOOST_AUTO_TEST_CASE(float_products_are_within_their_rounding_errors) {
  const auto accelerator = open_devices(options_for(remo::kDefaultParameters));
  Stream stream(7);
  for (const Shape& shape : kShapes) {
    const auto weights = random_weights(shape.d_in, shape.d_out, stream);
    accelerator->add(kMatrix, weights);
    for (const std::size_t rows : {1U, 5U, 33U}) {
      std::vector<float> x(rows * shape.d_in);
      for (float& value : x) value = stream.real();
      std::vector<u8> bytes(x.size() * sizeof(float));
      std::memcpy(bytes.data(), x.data(), bytes.size());
      const auto got = product(*accelerator, kMatrix, RowFormat::float32, bytes, rows);
      BOOST_TEST_REQUIRE(got.size() == rows * shape.d_out * sizeof(float));
      for (std::size_t t = 0; t < rows; ++t)
        for (std::size_t j = 0; j < shape.d_out; j += 13) {
          double exact = 0;
          double size = 0;
          for (std::size_t i = 0; i < shape.d_in; ++i) {
            const double term = static_cast<double>(x[t * shape.d_in + i]) * weights.at(i, j);
            exact += term;
            size += std::abs(term);
          }
          float y = 0;
          std::memcpy(&y, got.data() + (t * shape.d_out + j) * sizeof y, sizeof y);
          BOOST_TEST_REQUIRE(std::abs(static_cast<double>(y) - exact) <=
                             1.05 * static_cast<double>(shape.d_in) * 0x1p-24 * size);
        }
    }
  }
}

} // namespace talaria::kernels::cuda::test
