#pragma once

#include "kernels/avx512/vector.hpp"
#include "kernels/ntt_plan.hpp"
#include "kernels/reference/reference.hpp"

// Moduli of 49 to 54 bits are too wide for the 52-bit multiplier to reduce lazily: 32-bit products
// then.

namespace talaria::kernels::avx512 {

namespace {

/// Exact sums of products of numbers below 2^56, split at 28 bits: sum = s[0] + 2^28 s[1] + 2^56
/// s[2]. A partial product is below 2^56, so that 2^7 of them fit.
struct SplitSum {
  V s[3] = {};

  __attribute__((always_inline)) void add(V a, V b) {
    const V low = set((u64{1} << 28) - 1);
    const V a0 = _mm512_and_si512(a, low), a1 = _mm512_srli_epi64(a, 28);
    const V b0 = _mm512_and_si512(b, low), b1 = _mm512_srli_epi64(b, 28);
    s[0] = _mm512_add_epi64(s[0], _mm512_mul_epu32(a0, b0));
    s[1] = _mm512_add_epi64(s[1],
                            _mm512_add_epi64(_mm512_mul_epu32(a0, b1), _mm512_mul_epu32(a1, b0)));
    s[2] = _mm512_add_epi64(s[2], _mm512_mul_epu32(a1, b1));
  }
};

/// A SplitSum of up to 2^24 products, if carry() is called every kCarryEvery additions.
class LongSplitSum {
public:
  static constexpr std::size_t kCarryEvery = 64;

  __attribute__((always_inline)) void add(V a, V b) { sum_.add(a, b); }
  __attribute__((always_inline)) void carry() {
    for (int i = 0; i < 3; ++i) {
      low_[i] = _mm512_add_epi64(low_[i], _mm512_and_si512(sum_.s[i], set(0xffffffff)));
      high_[i] = _mm512_add_epi64(high_[i], _mm512_srli_epi64(sum_.s[i], 32));
      sum_.s[i] = _mm512_setzero_si512();
    }
  }
  __attribute__((always_inline)) u64 total(const Modulus& q) const {
    u64 result = 0;
    for (int i = 2; i >= 0; --i) {
      u128 sum = u128{result} << 28;
      alignas(64) u64 low[8];
      alignas(64) u64 high[8];
      _mm512_store_si512(low, low_[i]);
      _mm512_store_si512(high, high_[i]);
      for (int l = 0; l < 8; ++l) sum += low[l] + (u128{high[l]} << 32);
      result = reference::reduce_wide(sum, q);
    }
    return result;
  }

private:
  SplitSum sum_;
  V low_[3] = {};
  V high_[3] = {};
};

/// Shoup's products by constants modulo q < 2^54.
class WideField {
public:
  struct Factor {
    V w;
    V shoup_low; ///< floor(w 2^64 / q), its halves
    V shoup_high;
  };

  __attribute__((always_inline)) explicit WideField(u64 q)
      : modulus_(q), q_(set(q)), two_q_(set(2 * q)) {}

  __attribute__((always_inline)) static Factor factor(const NttPlan::Twiddle& t) {
    return {set(t.w), set(t.shoup64), set(t.shoup64 >> 32)};
  }
  __attribute__((always_inline)) Factor factor(u64 w) const {
    return factor(NttPlan::Twiddle{w, static_cast<u64>((u128{w} << 64) / modulus_), 0});
  }
  /// y w mod q for any y. The quotient leaves out the product of the lower halves and so misses the
  /// true one by at most two; the remainder is below 4 q.
  __attribute__((always_inline)) V mul(V y, const Factor& f) const {
    const V y_high = _mm512_srli_epi64(y, 32);
    const V cross = _mm512_add_epi64(_mm512_srli_epi64(_mm512_mul_epu32(y_high, f.shoup_low), 32),
                                     _mm512_srli_epi64(_mm512_mul_epu32(y, f.shoup_high), 32));
    const V quotient = _mm512_add_epi64(_mm512_mul_epu32(y_high, f.shoup_high), cross);
    const V r = _mm512_sub_epi64(_mm512_mullo_epi64(y, f.w), _mm512_mullo_epi64(quotient, q_));
    return subtract_once(subtract_once(r, two_q_), q_);
  }
  __attribute__((always_inline)) V add(V a, V b) const {
    return subtract_once(_mm512_add_epi64(a, b), q_);
  }
  __attribute__((always_inline)) V sub(V a, V b) const {
    return add_if_negative(_mm512_sub_epi64(a, b), q_);
  }

private:
  u64 modulus_;
  V q_;
  V two_q_;
};

// The transforms of reference/ntt.cpp, eight polynomials to a vector.

inline void wide_forward(const NttPlan& plan, V* x) {
  const WideField f(plan.modulus.q);
  const NttPlan::Twiddle* twiddles = plan.forward.data();
  for (std::size_t blocks = 1, half = plan.n / 2; blocks < plan.n; blocks *= 2, half /= 2)
    for (std::size_t i = 0; i < blocks; ++i) {
      const WideField::Factor w = WideField::factor(twiddles[blocks + i]);
      V* a = x + 2 * i * half;
      V* b = a + half;
      for (std::size_t j = 0; j < half; ++j) {
        const V p = f.mul(b[j], w);
        b[j] = f.sub(a[j], p);
        a[j] = f.add(a[j], p);
      }
    }
}

inline void wide_inverse(const NttPlan& plan, V* x) {
  const WideField f(plan.modulus.q);
  const NttPlan::Twiddle* twiddles = plan.inverse.data();
  for (std::size_t blocks = plan.n / 2, half = 1; blocks > 0; blocks /= 2, half *= 2)
    for (std::size_t i = 0; i < blocks; ++i) {
      const WideField::Factor w = WideField::factor(twiddles[blocks + i]);
      V* a = x + 2 * i * half;
      V* b = a + half;
      for (std::size_t j = 0; j < half; ++j) {
        const V d = f.sub(a[j], b[j]);
        a[j] = f.add(a[j], b[j]);
        b[j] = f.mul(d, w);
      }
    }
  const WideField::Factor scale = WideField::factor(plan.n_inverse);
  for (std::size_t r = 0; r < plan.n; ++r) x[r] = f.mul(x[r], scale);
}

/// out[r] = sum_kappa s[kappa][r] b[r][kappa] mod q, k <= 32.
inline void wide_products(const NttPlan& plan, const u64* s, std::size_t secrets, const u8* b,
                          std::size_t k, V* out) {
  const WideField f(plan.modulus.q);
  const Words words(plan.modulus.word_bytes);
  const WideField::Factor one = f.factor(1), two56 = f.factor((u64{1} << 56) % plan.modulus.q);
  const V low28 = set((u64{1} << 28) - 1);
  for (std::size_t r = 0; r < plan.n; ++r) {
    SplitSum sum;
    for (std::size_t kappa = 0; kappa < k; ++kappa, b += 8 * words.bytes())
      sum.add(set(s[(r * k + kappa) * secrets]), words.load(b));
    // s[0] is below 2^61, s[1] below 2^60, s[2] below 2^57.
    const V middle = _mm512_slli_epi64(_mm512_and_si512(sum.s[1], low28), 28);
    const V low = _mm512_add_epi64(sum.s[0], middle);
    const V top = _mm512_add_epi64(sum.s[2], _mm512_srli_epi64(sum.s[1], 28));
    out[r] = f.add(f.mul(low, one), f.mul(top, two56));
  }
}

} // namespace
} // namespace talaria::kernels::avx512
