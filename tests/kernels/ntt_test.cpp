#include <boost/test/unit_test.hpp>

#include <vector>

#include "core/error.hpp"
#include "core/matrix.hpp"
#include "kernels/ntt_plan.hpp"
#include "tests/kernels/kernel_fixtures.hpp"

using namespace talaria;
using namespace talaria::kernels;
using namespace talaria::kernels::test;

namespace {

/// psi as NttPlan defines it.
u64 root_of_plan(const NttPlan& plan) {
  return plan.forward[plan.reversed(1)].w;
}

/// The value of polynomial c of x at psi^(2 rev(p) + 1).
u64 evaluate(const NttPlan& plan, const AlignedBuffer<u64>& x, std::size_t c, std::size_t p) {
  const Modulus& q = plan.modulus;
  const u64 point = q.pow(root_of_plan(plan), 2 * plan.reversed(p) + 1);
  u64 value = 0;
  for (std::size_t r = plan.n; r-- > 0;) value = q.add(q.mul(value, point), x[8 * r + c]);
  return value;
}

AlignedBuffer<u64> random_polynomials(const NttPlan& plan, Stream& stream) {
  AlignedBuffer<u64> x(8 * plan.n);
  for (u64& v : x) v = stream.residue(plan.modulus.q);
  return x;
}
AlignedBuffer<u64> copy(const AlignedBuffer<u64>& x) {
  AlignedBuffer<u64> y(x.size());
  std::copy(x.begin(), x.end(), y.begin());
  return y;
}
template <class T>
bool equal(const AlignedBuffer<T>& a, const AlignedBuffer<T>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

constexpr std::size_t kDegrees[] = {2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096};

} // namespace

BOOST_AUTO_TEST_SUITE(transforms)

BOOST_AUTO_TEST_CASE(psi_is_a_power_of_the_least_non_residue_and_a_root_of_x_n_plus_1) {
  for (const u64 prime : kPrimes) {
    const Modulus q(prime);
    const NttPlan plan(q, 256);
    u64 g = 2;
    while (q.pow(g, (prime - 1) / 2) == 1) ++g;
    BOOST_TEST(root_of_plan(plan) == q.pow(g, (prime - 1) / 512));
    BOOST_TEST(q.pow(root_of_plan(plan), 256) == prime - 1);
  }
}

BOOST_AUTO_TEST_CASE(twiddles_carry_their_companions_and_inverses) {
  const Modulus q(kPrimes[2]);
  const NttPlan plan(q, 64);
  for (std::size_t i = 0; i < plan.n; ++i) {
    BOOST_TEST(q.mul(plan.forward[i].w, plan.inverse[i].w) == 1u);
    BOOST_TEST(plan.forward[i].shoup64 == static_cast<u64>((u128{plan.forward[i].w} << 64) / q.q));
    BOOST_TEST(plan.forward[i].shoup52 == static_cast<u64>((u128{plan.forward[i].w} << 52) / q.q));
    const u64 psi_r = q.pow(root_of_plan(plan), i);
    BOOST_TEST(q.mul(q.mul(plan.untwist[i].w, psi_r), 64) == 1u);
    BOOST_TEST(plan.untwist52[i].w == q.mul(plan.untwist[i].w, u64{1} << 52));
  }
  BOOST_TEST(q.mul(plan.n_inverse.w, 64) == 1u);
}

BOOST_AUTO_TEST_CASE(moduli_without_a_transform_are_refused) {
  BOOST_CHECK_THROW(NttPlan(Modulus(kPrimes[2] + 2), 256), Error); // not 1 mod 2N
  BOOST_CHECK_THROW(NttPlan(Modulus(u64{513} * 513), 256), Error); // 1 mod 512, not prime
  BOOST_CHECK_THROW(NttPlan(Modulus(kPrimes[2]), 100), Error);     // not a power of two
  BOOST_CHECK_THROW(NttPlan(Modulus(kPrimes[2]), 8192), Error);    // too long
  BOOST_CHECK_THROW(NttPlan(Modulus(kPrimes[2]), 1), Error);       // too short
}

BOOST_AUTO_TEST_CASE(forward_evaluates_at_the_odd_powers_of_psi_in_reversed_order) {
  for_each_row([](const KernelSet& row) {
    Stream stream(1);
    for (const u64 prime : kPrimes)
      for (const std::size_t n : kDegrees) {
        const NttPlan plan(Modulus(prime), n);
        const AlignedBuffer<u64> x = random_polynomials(plan, stream);
        AlignedBuffer<u64> y = copy(x);
        row.ntt_forward8(plan, y.data());
        bool right = true;
        const std::size_t step = n <= 64 ? 1 : n / 16 - 1; // all positions, or a sample
        for (std::size_t p = 0; p < n; p += step)
          for (std::size_t c = 0; c < 8; c += n <= 64 ? 1 : 5)
            right = right && y[8 * p + c] == evaluate(plan, x, c, p);
        BOOST_TEST(right, "q " << prime << ", N " << n);
      }
  });
}

BOOST_AUTO_TEST_CASE(every_length_and_modulus_agrees_with_the_reference) {
  const KernelSet& reference = reference_row();
  for_each_row([&](const KernelSet& row) {
    Stream stream(2);
    for (const u64 prime : kPrimes)
      for (const std::size_t n : kDegrees) {
        const NttPlan plan(Modulus(prime), n);
        const AlignedBuffer<u64> x = random_polynomials(plan, stream);
        AlignedBuffer<u64> y = copy(x), expected = copy(x);
        row.ntt_forward8(plan, y.data());
        reference.ntt_forward8(plan, expected.data());
        BOOST_TEST(equal(y, expected), "forward, q " << prime << ", N " << n);
        row.ntt_inverse8(plan, y.data());
        BOOST_TEST(equal(y, x), "inverse, q " << prime << ", N " << n);
      }
  });
}

// The lazy sums of a vector target are largest when every input is.
BOOST_AUTO_TEST_CASE(extreme_inputs_do_not_overflow_the_lazy_sums) {
  for_each_row([](const KernelSet& row) {
    for (const u64 prime : kPrimes)
      for (const std::size_t n : kDegrees) {
        const NttPlan plan(Modulus(prime), n);
        for (const u64 value : {prime - 1, (prime + 1) / 2, u64{0}}) {
          AlignedBuffer<u64> x(8 * n);
          std::fill(x.begin(), x.end(), value);
          const AlignedBuffer<u64> before = copy(x);
          row.ntt_forward8(plan, x.data());
          BOOST_TEST(*std::max_element(x.begin(), x.end()) < prime);
          row.ntt_inverse8(plan, x.data());
          BOOST_TEST(equal(x, before), "q " << prime << ", N " << n << ", value " << value);
        }
      }
  });
}

BOOST_AUTO_TEST_CASE(pointwise_products_are_negacyclic_products) {
  constexpr std::size_t n = 16;
  for_each_row([](const KernelSet& row) {
    Stream stream(3);
    for (const u64 prime : kPrimes) {
      const Modulus q(prime);
      const NttPlan plan(q, n);
      const AlignedBuffer<u64> a = random_polynomials(plan, stream);
      const AlignedBuffer<u64> b = random_polynomials(plan, stream);
      AlignedBuffer<u64> fa = copy(a), fb = copy(b);
      row.ntt_forward8(plan, fa.data());
      row.ntt_forward8(plan, fb.data());
      for (std::size_t i = 0; i < fa.size(); ++i) fa[i] = q.mul(fa[i], fb[i]);
      row.ntt_inverse8(plan, fa.data());
      for (std::size_t c = 0; c < 8; ++c)
        for (std::size_t r = 0; r < n; ++r) {
          u64 sum = 0;
          for (std::size_t i = 0; i < n; ++i) {
            const u64 term = q.mul(a[8 * i + c], b[8 * ((r + n - i) % n) + c]);
            sum = i <= r ? q.add(sum, term) : q.sub(sum, term); // X^n = -1
          }
          BOOST_TEST(fa[8 * r + c] == sum);
        }
    }
  });
}

BOOST_AUTO_TEST_CASE(a_mask_tile_is_the_inverse_transform_of_the_sum_over_the_rank) {
  for_each_row([](const KernelSet& row) {
    Stream stream(4);
    for (const u64 prime : kPrimes)
      for (const std::size_t n : {std::size_t{16}, std::size_t{64}, std::size_t{256}})
        for (const std::size_t k : {1, 2, 4, 7, 8, 9, 10, 16, 32, 33}) {
          const std::size_t secrets = 1 + (k + n / 16) % 7;
          const Modulus q(prime);
          const NttPlan plan(q, n);
          Guarded<u64> s(k * n * secrets);
          fill_residues(s, prime, stream);
          Guarded<u8> b(8 * k * n * word_bytes(q));
          fill_words(b, 8 * k * n, q, stream);
          if (k == 32) { // the largest sum there is
            std::fill(s.begin(), s.end(), prime - 1);
            for (std::size_t i = 0; i < 8 * k * n; ++i)
              store_word(b.data() + i * word_bytes(q), prime - 1, q.word_bytes);
          }
          AlignedBuffer<u64> out(secrets * 8 * n);
          row.mask_tile(plan, s.data(), secrets, b.data(), k, out.data());
          for (std::size_t i = 0; i < secrets; ++i) {
            AlignedBuffer<u64> expected(8 * n);
            for (std::size_t r = 0; r < n; ++r)
              for (std::size_t c = 0; c < 8; ++c)
                for (std::size_t kappa = 0; kappa < k; ++kappa)
                  expected[8 * r + c] =
                      q.add(expected[8 * r + c], q.mul(s[(r * k + kappa) * secrets + i],
                                                       word_at(b, (r * k + kappa) * 8 + c, q)));
            reference_row().ntt_inverse8(plan, expected.data());
            BOOST_TEST(std::equal(expected.begin(), expected.end(), out.begin() + i * 8 * n),
                       "q " << prime << ", N " << n << ", k " << k << ", secret " << i);
          }
        }
  });
}

BOOST_AUTO_TEST_CASE(mask_rows_are_the_rows_of_eight_tiles_with_errors_and_nothing_beside_them) {
  for_each_row([](const KernelSet& row) {
    Stream stream(6);
    for (const u64 prime : kPrimes)
      for (const std::size_t columns : {1, 7, 8, 33, 64})
        for (const std::size_t gap : {0, 3, 64}) { // 0 and 64 with 64 columns: aligned to lines
          const Modulus q(prime);
          constexpr std::size_t n = 16;
          AlignedBuffer<u64> tiles(64 * n);
          for (u64& t : tiles) t = stream.below(prime);
          AlignedBuffer<i8> errors(64 * n);
          for (i8& e : errors) e = static_cast<i8>(stream.below(43)) - 21;
          tiles[0] = prime - 1, errors[0] = 21; // around the ends of [0, q)
          tiles[1] = 0, errors[1] = -21;
          const std::size_t stride = columns * word_bytes(q) + gap;
          AlignedBuffer<u8> with(n * stride), without(n * stride), expected(n * stride);
          for (AlignedBuffer<u8>* rows : {&with, &without, &expected})
            std::fill(rows->begin(), rows->end(), u8{0xa5});
          row.mask_rows(tiles.data(), 8 * n, errors.data(), n, columns, with.data(), stride,
                        WordRounding(q));
          row.mask_rows(tiles.data(), 8 * n, nullptr, n, columns, without.data(), stride,
                        WordRounding(q));
          for (const bool noisy : {true, false}) {
            for (std::size_t r = 0; r < n; ++r)
              for (std::size_t c = 0; c < columns; ++c) {
                const i64 e = noisy ? errors[64 * r + c] : 0;
                const u64 word = q.add(tiles[(c / 8 * n + r) * 8 + c % 8],
                                       e < 0 ? prime - static_cast<u64>(-e) : static_cast<u64>(e));
                store_word(expected.data() + r * stride + c * word_bytes(q), word, q.word_bytes);
              }
            BOOST_TEST(equal(noisy ? with : without, expected),
                       "q " << prime << ", columns " << columns << ", gap " << gap);
          }
        }
  });
}

BOOST_AUTO_TEST_CASE(rounded_mask_rows_are_the_nearest_multiples) {
  // p x / q rounded by 128-bit division: halves cannot occur.
  const auto nearest = [](u64 x, u64 p, u64 q) {
    return static_cast<u64>((u128{2} * x * p + q) / (u128{2} * q) % p);
  };
  for_each_row([&](const KernelSet& row) {
    Stream stream(7);
    for (const u64 prime : kRoundedFrom)
      for (const u64 smaller : {u64{1099511627689}, u64{4294828033}, u64{8796093008887}})
        for (const std::size_t columns : {5, 64}) {
          if (smaller >= prime) continue;
          const Modulus q(prime), p(smaller);
          constexpr std::size_t n = 64;
          AlignedBuffer<u64> tiles(64 * n);
          for (u64& t : tiles) t = stream.residue(prime);
          AlignedBuffer<i8> errors(64 * n);
          for (i8& e : errors) e = static_cast<i8>(stream.below(43)) - 21;
          for (std::size_t r = 0; r < n; ++r) { // around the middle between two multiples
            const u64 middle = static_cast<u64>((u128{2} * stream.below(smaller) + 1) * prime /
                                                (u128{2} * smaller));
            tiles[8 * r] = std::min(middle + r % 2, prime - 1);
            errors[64 * r] = 0;
          }
          tiles[1] = prime - 1, errors[1] = 0; // rounds to p, that is to 0
          const std::size_t stride = round_up(columns * word_bytes(p), 64);
          AlignedBuffer<u8> out(n * stride);
          for (const bool noisy : {true, false}) {
            row.mask_rows(tiles.data(), 8 * n, noisy ? errors.data() : nullptr, n, columns,
                          out.data(), stride, WordRounding(q, p));
            std::size_t wrong = 0;
            for (std::size_t r = 0; r < n; ++r)
              for (std::size_t c = 0; c < columns; ++c) {
                const i64 e = noisy ? errors[64 * r + c] : 0;
                const u64 x = q.add(tiles[(c / 8 * n + r) * 8 + c % 8],
                                    e < 0 ? prime - static_cast<u64>(-e) : static_cast<u64>(e));
                wrong += load_word(out.data() + r * stride + c * word_bytes(p), p.word_bytes) !=
                         nearest(x, smaller, prime);
              }
            BOOST_TEST(wrong == 0u, "q " << prime << ", p " << smaller << ", " << columns);
          }
        }
  });
}

BOOST_AUTO_TEST_CASE(transforms_stay_within_their_buffer) {
  for_each_row([](const KernelSet& row) {
    Stream stream(5);
    for (const std::size_t n : {std::size_t{16}, std::size_t{512}, std::size_t{2048}}) {
      const NttPlan plan(Modulus(kPrimes[2]), n);
      Guarded<u64> x(8 * n), y(8 * n); // multiples of 64 bytes: aligned
      fill_residues(x, kPrimes[2], stream);
      std::copy(x.begin(), x.end(), y.begin());
      row.ntt_forward8(plan, y.data());
      row.ntt_inverse8(plan, y.data());
      BOOST_TEST(y.same_bytes(x));
    }
  });
}

BOOST_AUTO_TEST_SUITE_END()
