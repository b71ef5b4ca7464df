#include <boost/test/unit_test.hpp>

#include <cmath>
#include <thread>
#include <vector>

#include "tests/kernels/kernel_fixtures.hpp"

using namespace talaria;
using namespace talaria::kernels;
using namespace talaria::kernels::test;

BOOST_AUTO_TEST_SUITE(product_kernels)

namespace {

PackedWeights random_weights(std::size_t d_in, std::size_t d_out, Stream& stream) {
  PackedWeights w(d_in, d_out);
  for (std::size_t i = 0; i < d_in; ++i)
    for (std::size_t j = 0; j < d_out; ++j) {
      constexpr i8 kEdges[] = {127, -127, -128, 0};
      w.at(i, j) = stream.below(4) == 0 ? kEdges[stream.below(4)] : static_cast<i8>(stream.next());
    }
  return w;
}

/// Sum over i of c[t][i] W[i][j] mod q, in a way that shares nothing with the kernels.
u64 plain_product(const Guarded<u8>& c, std::size_t t, const PackedWeights& w, std::size_t j,
                  const Modulus& q) {
  i128 sum = 0;
  for (std::size_t i = 0; i < w.d_in(); ++i)
    sum += i128{static_cast<i64>(word_at(c, t * w.d_in() + i, q))} * w.at(i, j);
  const i128 r = sum % static_cast<i128>(q.q);
  return static_cast<u64>(r < 0 ? r + static_cast<i128>(q.q) : r);
}

struct Shape {
  std::size_t rows, d_in, d_out;
};
constexpr Shape kShapes[] = {{1, 1, 1},     {1, 17, 63},   {2, 17, 64},   {3, 4, 65},
                             {5, 31, 200},  {8, 100, 7},   {1, 4096, 65}, {4, 600, 64},
                             {7, 1027, 66}, {64, 130, 65}, {67, 515, 3}};

/// All products of `shape` by `row`, compared with plain ones: every value, or a sample of many.
bool products_are_right(const KernelSet& row, const Shape& shape, u64 prime, u64 seed) {
  Stream stream(seed);
  const Modulus q(prime);
  const PackedWeights w = random_weights(shape.d_in, shape.d_out, stream);
  Guarded<u8> c(shape.rows * shape.d_in * word_bytes(q));
  fill_words(c, shape.rows * shape.d_in, q, stream);
  Guarded<u8> y(shape.rows * shape.d_out * word_bytes(q));
  row.residue_product(c.data(), shape.rows, w, q, y.data(), 0, w.panels());
  const std::size_t values = shape.rows * shape.d_out;
  const std::size_t step = 1 + values * shape.d_in / 1000000;
  for (std::size_t i = 0; i < values; i += step)
    if (word_at(y, i, q) != plain_product(c, i / shape.d_out, w, i % shape.d_out, q)) return false;
  return true;
}

} // namespace

BOOST_AUTO_TEST_CASE(residue_products_are_exact_for_every_shape_and_modulus) {
  for_each_row([](const KernelSet& row) {
    u64 seed = 0;
    for (const u64 prime : kPrimes)
      for (const Shape& shape : kShapes)
        BOOST_TEST(products_are_right(row, shape, prime, ++seed),
                   "q " << prime << ", rows " << shape.rows << ", d_in " << shape.d_in << ", d_out "
                        << shape.d_out);
  });
}

BOOST_AUTO_TEST_CASE(a_wide_layer_is_exact) {
  for_each_row([](const KernelSet& row) {
    for (const u64 prime : kPrimes)
      BOOST_TEST(products_are_right(row, Shape{3, 14336, 70}, prime, 99), "q " << prime);
  });
}

// int32 sums of limbs are largest for 0xff bytes and weights of -128 or 127 throughout.
BOOST_AUTO_TEST_CASE(the_largest_sums_do_not_overflow) {
  for (const std::size_t d_in :
       {std::size_t{14336}, std::size_t{65793}, std::size_t{65794}, (std::size_t{1} << 17) - 1})
    for_each_row([&](const KernelSet& row) {
      for (const u64 prime : kPrimes)
        for (const int weight : {-128, 127}) {
          const Modulus q(prime);
          PackedWeights w(d_in, 2);
          for (std::size_t i = 0; i < d_in; ++i)
            for (std::size_t j = 0; j < 2; ++j) w.at(i, j) = static_cast<i8>(weight);
          Guarded<u8> c(d_in * word_bytes(q)), y(2 * word_bytes(q));
          const u64 word = ((u64{1} << (q.bits - 1)) - 1); // nearly all bytes are 0xff
          for (std::size_t i = 0; i < d_in; ++i)
            store_word(c.data() + i * word_bytes(q), word, q.word_bytes);
          row.residue_product(c.data(), 1, w, q, y.data(), 0, 1);
          const u64 expected = q.mul(q.mul(word, d_in), q.from_signed(weight));
          BOOST_TEST(word_at(y, 0, q) == expected, "q " << prime << ", d_in " << d_in);
          BOOST_TEST(word_at(y, 1, q) == expected, "q " << prime << ", d_in " << d_in);
        }
    });
}

BOOST_AUTO_TEST_CASE(only_the_columns_of_the_given_panels_are_written) {
  constexpr std::size_t rows = 3, d_in = 40, d_out = 200;
  for_each_row([](const KernelSet& row) {
    Stream stream(7);
    const PackedWeights w = random_weights(d_in, d_out, stream);
    for (const u64 prime : kPrimes) {
      const Modulus q(prime);
      Guarded<u8> c(rows * d_in * word_bytes(q));
      fill_words(c, rows * d_in, q, stream);
      Guarded<u8> whole(rows * d_out * word_bytes(q)), part(rows * d_out * word_bytes(q));
      row.residue_product(c.data(), rows, w, q, whole.data(), 0, w.panels());
      for (std::size_t p = 0; p < w.panels(); ++p) {
        part.fill_bytes(0xee);
        row.residue_product(c.data(), rows, w, q, part.data(), p, p + 1);
        bool right = true;
        for (std::size_t i = 0; i < part.size(); ++i) {
          const std::size_t column = i / word_bytes(q) % d_out;
          right = right && part[i] == (column / 64 == p ? whole[i] : 0xee);
        }
        BOOST_TEST(right, "q " << prime << ", panel " << p);
      }
      part.fill_bytes(0xee);
      row.residue_product(c.data(), rows, w, q, part.data(), 2, 2);
      BOOST_TEST(std::all_of(part.begin(), part.end(), [](u8 b) { return b == 0xee; }));
    }
  });
}

BOOST_AUTO_TEST_CASE(threads_may_share_an_output) {
  constexpr std::size_t rows = 9, d_in = 300, d_out = 250;
  for_each_row([](const KernelSet& row) {
    Stream stream(8);
    const Modulus q(kPrimes[2]);
    const PackedWeights w = random_weights(d_in, d_out, stream);
    Guarded<u8> c(rows * d_in * word_bytes(q));
    fill_words(c, rows * d_in, q, stream);
    Guarded<u8> whole(rows * d_out * word_bytes(q)), shared(rows * d_out * word_bytes(q));
    row.residue_product(c.data(), rows, w, q, whole.data(), 0, w.panels());
    std::vector<std::thread> threads;
    for (std::size_t p = 0; p < w.panels(); ++p)
      threads.emplace_back([&, p] {
        for (int times = 0; times < 20; ++times)
          row.residue_product(c.data(), rows, w, q, shared.data(), p, p + 1);
      });
    for (std::thread& thread : threads) thread.join();
    BOOST_TEST(shared.same_bytes(whole));
  });
}

BOOST_AUTO_TEST_CASE(float_products_add_in_order_by_fused_multiply_add) {
  for_each_row([](const KernelSet& row) {
    Stream stream(9);
    for (const Shape& shape : kShapes) {
      const PackedWeights w = random_weights(shape.d_in, shape.d_out, stream);
      Guarded<float> c(shape.rows * shape.d_in), y(shape.rows * shape.d_out);
      for (float& v : c) v = stream.wild(60);
      row.float_product(c.data(), shape.rows, w, y.data(), 0, w.panels());
      bool right = true;
      for (std::size_t t = 0; t < shape.rows; ++t)
        for (std::size_t j = 0; j < shape.d_out; ++j) {
          float sum = 0.0f;
          for (std::size_t i = 0; i < shape.d_in; ++i)
            sum = std::fma(c[t * shape.d_in + i], static_cast<float>(w.at(i, j)), sum);
          right = right && std::bit_cast<u32>(sum) == std::bit_cast<u32>(y[t * shape.d_out + j]);
        }
      BOOST_TEST(right,
                 "rows " << shape.rows << ", d_in " << shape.d_in << ", d_out " << shape.d_out);
    }
  });
}

BOOST_AUTO_TEST_CASE(float_products_write_only_their_panels) {
  for_each_row([](const KernelSet& row) {
    Stream stream(10);
    constexpr std::size_t rows = 7, d_in = 65, d_out = 130;
    const PackedWeights w = random_weights(d_in, d_out, stream);
    Guarded<float> c(rows * d_in), whole(rows * d_out), part(rows * d_out);
    for (float& v : c) v = stream.real();
    row.float_product(c.data(), rows, w, whole.data(), 0, 3);
    for (float& v : part) v = 77.0f;
    row.float_product(c.data(), rows, w, part.data(), 1, 2);
    bool right = true;
    for (std::size_t i = 0; i < part.size(); ++i)
      right = right && part[i] == (i % d_out / 64 == 1 ? whole[i] : 77.0f);
    BOOST_TEST(right);
  });
}

BOOST_AUTO_TEST_CASE(weight_dot_is_the_product_with_a_column_vector) {
  Stream stream(11);
  for (const Shape& shape : kShapes)
    for (const u64 prime : kPrimes) {
      const Modulus q(prime);
      const PackedWeights w = random_weights(shape.d_in, shape.d_out, stream);
      Guarded<u64> z(shape.d_out), t(shape.d_in);
      fill_residues(z, prime, stream);
      weight_dot(w, z.data(), t.data(), q);
      bool right = true;
      for (std::size_t i = 0; i < shape.d_in; ++i) {
        i128 sum = 0;
        for (std::size_t j = 0; j < shape.d_out; ++j)
          sum += i128{static_cast<i64>(z[j])} * w.at(i, j);
        const i128 r = sum % static_cast<i128>(prime);
        right = right && t[i] == static_cast<u64>(r < 0 ? r + static_cast<i128>(prime) : r);
      }
      BOOST_TEST(right, "q " << prime << ", d_in " << shape.d_in << ", d_out " << shape.d_out);
    }
}

BOOST_AUTO_TEST_CASE(weight_dot_of_panels_is_that_of_their_columns) {
  Stream stream(12);
  const Modulus q(kPrimes[2]);
  const PackedWeights w = random_weights(37, 200, stream);
  Guarded<u64> z(200), within(200), t(37), expected(37);
  fill_residues(z, kPrimes[2], stream);
  for (std::size_t begin = 0; begin <= w.panels(); ++begin)
    for (std::size_t end = begin; end <= w.panels(); ++end) {
      for (std::size_t j = 0; j < 200; ++j) within[j] = j >= 64 * begin && j < 64 * end ? z[j] : 0;
      weight_dot(w, within.data(), expected.data(), q);
      weight_dot(w, z.data(), t.data(), q, begin, end);
      bool right = true;
      for (std::size_t i = 0; i < 37; ++i) right = right && t[i] == expected[i];
      BOOST_TEST(right, "panels " << begin << " to " << end);
    }
}

BOOST_AUTO_TEST_CASE(halves_of_weight_dot_are_exact_and_added_to_what_is_there) {
  for_each_row([](const KernelSet& row) {
    Stream stream(13);
    for (const Shape& shape : kShapes) {
      const PackedWeights w = random_weights(shape.d_in, shape.d_out, stream);
      Guarded<u64> z(shape.d_out);
      fill_residues(z, kPrimes[3], stream);
      Guarded<i64> sums(8 * w.groups());
      for (std::size_t i = 0; i < sums.size(); ++i) sums[i] = static_cast<i64>(i) - 7;
      // In two parts, of which one may be empty.
      row.weight_dot_halves(w, z.data(), sums.data(), 0, w.panels() / 2);
      row.weight_dot_halves(w, z.data(), sums.data(), w.panels() / 2, w.panels());
      bool right = true;
      for (std::size_t i = 0; i < shape.d_in; ++i) {
        const std::size_t low = i / 4 * 8 + i % 4, top = low + 4;
        i64 expected_low = static_cast<i64>(low) - 7, expected_top = static_cast<i64>(top) - 7;
        for (std::size_t j = 0; j < shape.d_out; ++j) {
          expected_low += w.at(i, j) * static_cast<i64>(z[j] & 0x7ffffff);
          expected_top += w.at(i, j) * static_cast<i64>(z[j] >> 27);
        }
        right = right && sums[low] == expected_low && sums[top] == expected_top;
      }
      BOOST_TEST(right, "d_in " << shape.d_in << ", d_out " << shape.d_out);
    }
  });
}

BOOST_AUTO_TEST_CASE(the_column_norm_is_an_upper_bound_and_tight) {
  Stream stream(12);
  for (const Shape& shape : kShapes) {
    const PackedWeights w = random_weights(shape.d_in, shape.d_out, stream);
    u64 most = 0;
    for (std::size_t j = 0; j < shape.d_out; ++j) {
      u64 squares = 0;
      for (std::size_t i = 0; i < shape.d_in; ++i)
        squares += static_cast<u64>(int{w.at(i, j)} * w.at(i, j));
      most = std::max(most, squares);
    }
    const long double norm = max_column_norm(w);
    BOOST_TEST((norm * norm >= static_cast<long double>(most)));
    BOOST_TEST((norm * norm <= static_cast<long double>(most) * (1 + 1e-14L)));
  }
  BOOST_TEST(max_column_norm(PackedWeights(5, 70)) == 0.0);
}

BOOST_AUTO_TEST_SUITE_END()
