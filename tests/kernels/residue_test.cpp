#include <boost/test/unit_test.hpp>

#include <array>
#include <bit>
#include <cstdint>
#include <vector>

#include "tests/kernels/kernel_fixtures.hpp"

using namespace talaria;
using namespace talaria::kernels;
using namespace talaria::kernels::test;

BOOST_AUTO_TEST_SUITE(residue_kernels)

BOOST_AUTO_TEST_CASE(a_masked_row_is_delta_x_plus_u_mod_q) {
  for_each_row([](const KernelSet& row) {
    Stream stream(1);
    for (const u64 prime : kPrimes)
      for (const std::size_t n : kLengths)
        for (const int delta_bits : {0, 11, 20}) {
          const Modulus q(prime);
          Guarded<i32> x(n);
          Guarded<u8> u(n * word_bytes(q)), out(n * word_bytes(q)), clear(n * word_bytes(q));
          fill_words(u, n, q, stream);
          const i64 most =
              std::min<i64>(static_cast<i64>((prime - 1) / 2) >> delta_bits, 0x7fffffff);
          for (std::size_t i = 0; i < n; ++i) {
            const i64 edges[] = {most, -most, 0, -1};
            x[i] = static_cast<i32>(
                stream.below(4) == 0
                    ? edges[stream.below(4)]
                    : static_cast<i64>(stream.below(2 * static_cast<u64>(most))) - most);
          }
          row.mask_row(x.data(), u.data(), out.data(), n, delta_bits, q);
          row.mask_row(x.data(), nullptr, clear.data(), n, delta_bits, q);
          bool right = true;
          for (std::size_t i = 0; i < n; ++i) {
            const u64 expected = q.from_signed(i64{x[i]} * (i64{1} << delta_bits));
            right = right && word_at(clear, i, q) == expected &&
                    word_at(out, i, q) == q.add(expected, word_at(u, i, q));
          }
          BOOST_TEST(right, "q " << prime << ", n " << n << ", delta_bits " << delta_bits);
        }
  });
}

BOOST_AUTO_TEST_CASE(the_most_negative_integer_can_be_masked) {
  for_each_row([](const KernelSet& row) {
    const Modulus q(kPrimes[2]);
    Guarded<i32> x(9);
    for (i32& v : x) v = std::numeric_limits<i32>::min();
    Guarded<u8> out(9 * word_bytes(q));
    row.mask_row(x.data(), nullptr, out.data(), 9, 15, q);
    for (std::size_t i = 0; i < 9; ++i) BOOST_TEST(word_at(out, i, q) == q.q - (u64{1} << 46));
  });
}

BOOST_AUTO_TEST_CASE(a_row_decodes_to_the_centred_difference_rounded_by_delta) {
  for_each_row([](const KernelSet& row) {
    Stream stream(2);
    for (const u64 prime : kPrimes)
      for (const std::size_t n : kLengths)
        for (const int delta_bits : {0, 1, 15, 30}) {
          const Modulus q(prime);
          Guarded<u8> y(n * word_bytes(q)), v(n * word_bytes(q));
          fill_words(y, n, q, stream);
          fill_words(v, n, q, stream);
          Guarded<i64> r(n), plain(n);
          row.decode_row(y.data(), v.data(), r.data(), n, delta_bits, q);
          row.decode_row(y.data(), nullptr, plain.data(), n, delta_bits, q);
          const i64 half = delta_bits == 0 ? 0 : i64{1} << (delta_bits - 1);
          bool right = true;
          for (std::size_t i = 0; i < n; ++i) {
            const i64 c = q.centered(q.sub(word_at(y, i, q), word_at(v, i, q)));
            right = right && r[i] == (c + half) >> delta_bits &&
                    plain[i] == (q.centered(word_at(y, i, q)) + half) >> delta_bits;
          }
          BOOST_TEST(right, "q " << prime << ", n " << n << ", delta_bits " << delta_bits);
        }
  });
}

BOOST_AUTO_TEST_CASE(decoding_undoes_masking) {
  for_each_row([](const KernelSet& row) {
    Stream stream(3);
    constexpr std::size_t n = 203;
    for (const u64 prime : kPrimes) {
      const Modulus q(prime);
      Guarded<i32> x(n);
      for (i32& v : x) v = static_cast<i32>(stream.below(1u << 20)) - (1 << 19);
      Guarded<u8> u(n * word_bytes(q)), y(n * word_bytes(q));
      fill_words(u, n, q, stream);
      const int delta_bits = q.bits - 22;
      row.mask_row(x.data(), u.data(), y.data(), n, delta_bits, q);
      Guarded<i64> r(n);
      row.decode_row(y.data(), u.data(), r.data(), n, delta_bits, q);
      BOOST_TEST(std::equal(r.begin(), r.end(), x.begin()), "q " << prime);
    }
  });
}

BOOST_AUTO_TEST_CASE(inner_products_are_exact_for_any_words_and_signs) {
  for_each_row([](const KernelSet& row) {
    Stream stream(4);
    for (const u64 prime : kPrimes)
      for (const std::size_t n : kLengths) {
        const Modulus q(prime);
        Guarded<u8> a(n * word_bytes(q));
        Guarded<u64> z[kMaxCheckVectors] = {Guarded<u64>(n), Guarded<u64>(n), Guarded<u64>(n)};
        Guarded<i64> x(n);
        Guarded<i32> shorter(n);
        for (auto& vector : z) fill_residues(vector, prime, stream);
        RowDots expected;
        std::array<u64, kMaxCheckVectors> of_shorter{};
        constexpr i32 kEdges[] = {0, -1, INT32_MAX, INT32_MIN};
        for (std::size_t i = 0; i < n; ++i) {
          // A word from outside need not be below q.
          const u64 word = stream.next() >> (64 - 8 * q.word_bytes);
          store_word(a.data() + i * word_bytes(q), word, q.word_bytes);
          x[i] = static_cast<i64>(stream.residue(prime)) * (stream.below(2) == 0 ? 1 : -1);
          shorter[i] =
              stream.below(4) == 0 ? kEdges[stream.below(4)] : static_cast<i32>(stream.next());
          expected.below = expected.below && word < prime;
          for (std::size_t v = 0; v < kMaxCheckVectors; ++v) {
            expected.words[v] = q.add(expected.words[v], q.mul(word % prime, z[v][i]));
            expected.integers[v] = q.add(expected.integers[v], q.mul(q.from_signed(x[i]), z[v][i]));
            of_shorter[v] = q.add(of_shorter[v], q.mul(q.from_signed(shorter[i]), z[v][i]));
          }
        }
        CheckVectors check{{z[0].data(), z[1].data(), z[2].data()}, 3};
        const auto dots = [&](const u8* words, const i64* integers) {
          return row.row_dots(words, integers, check, n, q);
        };
        BOOST_TEST((dots(a.data(), x.data()) == expected));
        BOOST_TEST((dots(a.data(), nullptr) == RowDots{expected.words, {}, expected.below}));
        BOOST_TEST((dots(nullptr, x.data()) == RowDots{{}, expected.integers, true}));
        BOOST_TEST((dots(nullptr, nullptr) == RowDots{}));
        const auto dots32 = [&](const u8* words, const i32* integers) {
          return row.row_dots32(words, integers, check, n, q);
        };
        BOOST_TEST((dots32(a.data(), shorter.data()) ==
                    RowDots{expected.words, of_shorter, expected.below}));
        BOOST_TEST((dots32(a.data(), nullptr) == RowDots{expected.words, {}, expected.below}));
        BOOST_TEST((dots32(nullptr, shorter.data()) == RowDots{{}, of_shorter, true}));
        BOOST_TEST((dots32(nullptr, nullptr) == RowDots{}));
        check = {{z[0].data(), z[1].data(), nullptr}, 2}; // the same without the third
        expected.words[2] = expected.integers[2] = of_shorter[2] = 0;
        BOOST_TEST((dots(a.data(), x.data()) == expected));
        BOOST_TEST((dots32(a.data(), shorter.data()) ==
                    RowDots{expected.words, of_shorter, expected.below}));
      }
  });
}

BOOST_AUTO_TEST_CASE(one_word_that_is_not_below_the_modulus_is_seen_wherever_it_is) {
  for_each_row([](const KernelSet& row) {
    for (const u64 prime : kPrimes)
      for (const std::size_t n : {1, 7, 8, 9, 20, 41}) {
        const Modulus q(prime);
        Guarded<u8> a(n * word_bytes(q));
        Guarded<u64> z(n);
        const auto below = [&] {
          return row.row_dots(a.data(), nullptr, {{z.data(), z.data()}, 2}, n, q).below;
        };
        for (std::size_t i = 0; i < n; ++i)
          store_word(a.data() + i * word_bytes(q), prime - 1, q.word_bytes);
        BOOST_TEST(below());
        for (std::size_t i = 0; i < n; ++i)
          for (const u64 word : {prime, ~u64{0} >> (64 - 8 * q.word_bytes)}) {
            store_word(a.data() + i * word_bytes(q), word, q.word_bytes);
            BOOST_TEST(!below(), "word " << i << " of " << n << ", q " << prime);
            store_word(a.data() + i * word_bytes(q), prime - 1, q.word_bytes);
          }
      }
  });
}

BOOST_AUTO_TEST_CASE(long_inner_products_of_the_largest_numbers_do_not_overflow) {
  constexpr std::size_t n = (std::size_t{1} << 22) - 1; // the most that a row may have
  for_each_row([](const KernelSet& row) {
    for (const u64 prime : kPrimes) {
      const Modulus q(prime);
      Guarded<u8> a(n * word_bytes(q));
      Guarded<u64> z(n);
      Guarded<i64> x(n);
      const u64 word = (u64{1} << (8 * q.word_bytes)) - 1;
      for (std::size_t i = 0; i < n; ++i) {
        store_word(a.data() + i * word_bytes(q), word, q.word_bytes);
        z[i] = prime - 1;
        x[i] = 1 - static_cast<i64>(prime);
      }
      // (q - 1) = -1 and (1 - q) = 1 mod q.
      const u64 words = q.sub(0, q.mul(word % prime, n)), integers = q.sub(0, n);
      const CheckVectors check{{z.data(), z.data(), z.data()}, 3};
      const RowDots dots = row.row_dots(a.data(), x.data(), check, n, q);
      BOOST_TEST((dots == RowDots{{words, words, words}, {integers, integers, integers}, false}));
    }
  });
}

BOOST_AUTO_TEST_CASE(binomial_errors_count_coins) {
  for_each_row([](const KernelSet& row) {
    Stream stream(5);
    for (const std::size_t n : kLengths) {
      Guarded<u8> bytes(6 * n);
      for (u8& b : bytes) b = static_cast<u8>(stream.next());
      if (n > 2) { // all heads on one side
        store_word(bytes.data(), (u64{1} << 21) - 1, 6);
        store_word(bytes.data() + 6, ((u64{1} << 21) - 1) << 21, 6);
      }
      Guarded<i8> e(n);
      row.centered_binomial21(bytes.data(), e.data(), n);
      bool right = true;
      for (std::size_t i = 0; i < n; ++i) {
        const u64 w = load_word(bytes.data() + 6 * i, 6);
        right = right && e[i] == std::popcount(w & 0x1fffff) - std::popcount(w >> 21 & 0x1fffff);
      }
      BOOST_TEST(right, "n " << n);
      if (n > 2) BOOST_TEST((e[0] == 21 && e[1] == -21));
    }
  });
}

BOOST_AUTO_TEST_CASE(words_pack_and_unpack) {
  for_each_row([](const KernelSet& row) {
    Stream stream(6);
    for (const u64 prime : kPrimes)
      for (const std::size_t n : kLengths) {
        const Modulus q(prime);
        Guarded<u64> x(n), back(n);
        fill_residues(x, prime, stream);
        Guarded<u8> words(n * word_bytes(q));
        row.pack_words(x.data(), words.data(), n, q);
        bool right = true;
        for (std::size_t i = 0; i < n; ++i) right = right && word_at(words, i, q) == x[i];
        row.unpack_words(words.data(), back.data(), n, q);
        BOOST_TEST((right && back.same_bytes(x)), "q " << prime << ", n " << n);
      }
  });
}

BOOST_AUTO_TEST_SUITE_END()
