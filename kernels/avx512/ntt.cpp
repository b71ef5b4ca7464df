#include <array>
#include <cstdint>

#include "kernels/avx512/avx512.hpp"
#include "kernels/avx512/vector.hpp"
#include "kernels/avx512/wide.hpp"
#include "kernels/reference/reference.hpp"

// Lane c of vector r is coefficient r of polynomial c: no stage needs a shuffle, twiddles are
// broadcast.
//
// Arithmetic is lazy modulo 2^52: a value stands for a residue while it is below 2^52, and only its
// low 52 bits count (the multiplier ignores the rest), so sums need no mask. As q < 2^48 there is
// room for 16 q. Every stage but the first two of the inverse adds 2 q to the bound; see
// kHalveBefore.
//
// A product by a constant w uses w' = floor(w 2^52 / q): y w - floor(y w' / 2^52) q lies in [0, 2
// q).

namespace talaria::kernels::avx512 {

namespace {

constexpr int kIfmaBits = 48;
constexpr u64 kLow52 = (u64{1} << 52) - 1;

using Twiddle = NttPlan::Twiddle;

struct Field {
  V q;
  V two_q;
  V minus_q; ///< modulo 2^52
  V low52;
  V eight_q;
  __attribute__((always_inline)) explicit Field(u64 m)
      : q(set(m)), two_q(set(2 * m)), minus_q(set((u64{1} << 52) - m)), low52(set(kLow52)),
        eight_q(set(8 * m)) {}

  /// acc + y w, as acc plus a number in [0, 2 q), in the low 52 bits.
  __attribute__((always_inline)) V mul_add(V acc, V y, V w, V w_shoup) const {
    const V h = _mm512_madd52hi_epu64(_mm512_setzero_si512(), y, w_shoup);
    return _mm512_madd52lo_epu64(_mm512_madd52lo_epu64(acc, y, w), h, minus_q);
  }
  /// y w mod q.
  __attribute__((always_inline)) V mul(V y, const Twiddle& t) const {
    const V p = mul_add(_mm512_setzero_si512(), y, set(t.w), set(t.shoup52));
    return subtract_once(_mm512_and_si512(p, low52), q);
  }
  /// (a, b) to (a + b w, a - b w); 2 q more than a was at most.
  __attribute__((always_inline)) void butterfly(V& a, V& b, V w, V w_shoup) const {
    const V sum = mul_add(a, b, w, w_shoup);
    b = _mm512_sub_epi64(_mm512_madd52lo_epu64(two_q, a, set(2)), sum); // 2 a + 2 q - (a + b w)
    a = sum;
  }
  /// From below 16 q to below 8 q.
  __attribute__((always_inline)) V halve(V x) const {
    return subtract_once(_mm512_and_si512(x, low52), eight_q);
  }
};

constexpr std::size_t reverse(std::size_t x, int bits) {
  std::size_t r = 0;
  for (int i = 0; i < bits; ++i) r |= (x >> i & 1) << (bits - 1 - i);
  return r;
}

// --- inverse: decimation in time from bit-reversed order, psi^-r / N left to the end
// -----------------

/// Stages Done + I + 1 to Done + M on 2^M values in registers. `block` is the bit-reversed number
/// of the value within its group of 2^Done. Bounds after stages 1, 2, 3...: 2 q, 4 q, 6 q...; stage
/// 8 ends at 16 q, hence stage 9 starts by halving, and 12 stages end at 16 q again.
template <int Done, int M, int I>
TALARIA_INLINE void inverse_stages(V* r, const Twiddle* twiddles, std::size_t block,
                                   const Field& f) {
  if constexpr (I < M) {
    constexpr int kStage = Done + I + 1;
    constexpr std::size_t kHalf = std::size_t{1} << I;
#pragma GCC unroll 16
    for (std::size_t j = 0; j < kHalf; ++j) {
      const Twiddle& t = twiddles[(block << I) + reverse(j, I)];
      const V w = set(t.w), w_shoup = set(t.shoup52);
#pragma GCC unroll 16
      for (std::size_t g = 0; g < (std::size_t{1} << M); g += 2 * kHalf) {
        V& a = r[g + j];
        V& b = r[g + j + kHalf];
        if (kStage == 1 || (kStage == 2 && j == 0)) { // the factor is 1
          const V d = _mm512_sub_epi64(_mm512_add_epi64(a, kStage == 1 ? f.q : f.two_q), b);
          a = _mm512_add_epi64(a, b);
          b = d;
        } else {
          if (kStage == 9) a = f.halve(a);
          f.butterfly(a, b, w, w_shoup);
        }
      }
    }
    inverse_stages<Done, M, I + 1>(r, twiddles, block, f);
  }
}

/// reverse(0..2^Bits - 1, Bits).
template <int Bits>
constexpr auto kReversed = [] {
  std::array<std::uint16_t, std::size_t{1} << Bits> table{};
  for (std::size_t i = 0; i < table.size(); ++i)
    table[i] = static_cast<std::uint16_t>(reverse(i, Bits));
  return table;
}();

/// One pass over memory, in its order: M stages after the first `Done`.
template <int Done, int M>
void inverse_pass(const NttPlan& plan, V* x, const Field& f) {
  constexpr std::size_t kStride = std::size_t{1} << Done;
  constexpr std::size_t kCount = std::size_t{1} << M;
  for (V* group = x; group < x + plan.n; group += kStride * kCount)
    for (std::size_t i = 0; i < kStride; ++i) {
      V* const p = group + i;
      V r[kCount];
#pragma GCC unroll 16
      for (std::size_t j = 0; j < kCount; ++j) r[j] = p[j * kStride];
      inverse_stages<Done, M, 0>(r, plan.inverse.data(), kReversed<Done>[i], f);
#pragma GCC unroll 16
      for (std::size_t j = 0; j < kCount; ++j) p[j * kStride] = r[j];
    }
}

/// All stages, at most four to a pass. A pass that strides by 4 KiB or more works within one set of
/// the first-level cache and should touch at most eight vectors.
void inverse_passes(const NttPlan& plan, V* x, const Field& f) {
  switch (plan.log2n) {
  case 1:
    return inverse_pass<0, 1>(plan, x, f);
  case 2:
    return inverse_pass<0, 2>(plan, x, f);
  case 3:
    return inverse_pass<0, 3>(plan, x, f);
  case 4:
    return inverse_pass<0, 4>(plan, x, f);
  case 5:
    inverse_pass<0, 4>(plan, x, f);
    return inverse_pass<4, 1>(plan, x, f);
  case 6:
    inverse_pass<0, 4>(plan, x, f);
    return inverse_pass<4, 2>(plan, x, f);
  case 7:
    inverse_pass<0, 4>(plan, x, f);
    return inverse_pass<4, 3>(plan, x, f);
  case 8:
    inverse_pass<0, 4>(plan, x, f);
    return inverse_pass<4, 4>(plan, x, f);
  case 9:
    inverse_pass<0, 3>(plan, x, f);
    inverse_pass<3, 3>(plan, x, f);
    return inverse_pass<6, 3>(plan, x, f);
  case 10:
    inverse_pass<0, 4>(plan, x, f);
    inverse_pass<4, 3>(plan, x, f);
    return inverse_pass<7, 3>(plan, x, f);
  case 11:
    inverse_pass<0, 4>(plan, x, f);
    inverse_pass<4, 4>(plan, x, f);
    return inverse_pass<8, 3>(plan, x, f);
  default:
    inverse_pass<0, 3>(plan, x, f);
    inverse_pass<3, 3>(plan, x, f);
    inverse_pass<6, 3>(plan, x, f);
    return inverse_pass<9, 3>(plan, x, f);
  }
}

void inverse_transform(const NttPlan& plan, V* x, const Twiddle* untwist) {
  const Field f(plan.modulus.q);
  inverse_passes(plan, x, f);
  for (std::size_t r = 0; r < plan.n; ++r) x[r] = f.mul(x[r], untwist[r]);
}

// --- forward: Cooley-Tukey with the twist merged in, one twiddle per block
// ---------------------------

/// Stages Done + I + 1 to Done + M. The bound is 1 q at the start and 2 q more after every stage,
/// so that stage 8 would end at 17 q: it halves first and ends at 10 q; likewise stage 12.
template <int Done, int M, int I>
TALARIA_INLINE void forward_stages(V* r, const Twiddle* twiddles, std::size_t block,
                                   const Field& f) {
  if constexpr (I < M) {
    constexpr int kStage = Done + I + 1;
    constexpr std::size_t kHalf = std::size_t{1} << (M - 1 - I);
#pragma GCC unroll 16
    for (std::size_t g = 0; g < (std::size_t{1} << I); ++g) {
      const Twiddle& t = twiddles[(std::size_t{1} << (Done + I)) + (block << I) + g];
      const V w = set(t.w), w_shoup = set(t.shoup52);
#pragma GCC unroll 16
      for (std::size_t j = 0; j < kHalf; ++j) {
        V& a = r[g * 2 * kHalf + j];
        V& b = r[g * 2 * kHalf + j + kHalf];
        if (kStage == 8 || kStage == 12) a = f.halve(a);
        f.butterfly(a, b, w, w_shoup);
      }
    }
    forward_stages<Done, M, I + 1>(r, twiddles, block, f);
  }
}

template <int Done, int M>
void forward_pass(const NttPlan& plan, V* x, const Field& f) {
  constexpr std::size_t kCount = std::size_t{1} << M;
  const std::size_t length = plan.n >> Done;
  const std::size_t stride = length >> M;
  for (std::size_t block = 0; block < (std::size_t{1} << Done); ++block)
    for (V* p = x + block * length; p < x + block * length + stride; ++p) {
      V r[kCount];
#pragma GCC unroll 16
      for (std::size_t j = 0; j < kCount; ++j) r[j] = p[j * stride];
      forward_stages<Done, M, 0>(r, plan.forward.data(), block, f);
#pragma GCC unroll 16
      for (std::size_t j = 0; j < kCount; ++j) p[j * stride] = r[j];
    }
}

void forward_passes(const NttPlan& plan, V* x, const Field& f) {
  switch (plan.log2n) {
  case 1:
    return forward_pass<0, 1>(plan, x, f);
  case 2:
    return forward_pass<0, 2>(plan, x, f);
  case 3:
    return forward_pass<0, 3>(plan, x, f);
  case 4:
    return forward_pass<0, 4>(plan, x, f);
  case 5:
    forward_pass<0, 4>(plan, x, f);
    return forward_pass<4, 1>(plan, x, f);
  case 6:
    forward_pass<0, 4>(plan, x, f);
    return forward_pass<4, 2>(plan, x, f);
  case 7:
    forward_pass<0, 4>(plan, x, f);
    return forward_pass<4, 3>(plan, x, f);
  case 8:
    forward_pass<0, 4>(plan, x, f);
    return forward_pass<4, 4>(plan, x, f);
  case 9:
    forward_pass<0, 3>(plan, x, f);
    forward_pass<3, 3>(plan, x, f);
    return forward_pass<6, 3>(plan, x, f);
  case 10:
    forward_pass<0, 3>(plan, x, f);
    forward_pass<3, 3>(plan, x, f);
    return forward_pass<6, 4>(plan, x, f);
  case 11:
    forward_pass<0, 3>(plan, x, f);
    forward_pass<3, 4>(plan, x, f);
    return forward_pass<7, 4>(plan, x, f);
  default:
    forward_pass<0, 3>(plan, x, f);
    forward_pass<3, 3>(plan, x, f);
    forward_pass<6, 3>(plan, x, f);
    return forward_pass<9, 3>(plan, x, f);
  }
}

// --- products over the module rank
// ----------------------------------------------------------------------

/// q^-1 mod 2^52 by Newton's iteration; each step doubles the number of right bits.
u64 inverse_mod_2_52(u64 q) {
  u64 x = q; // three bits: q q = 1 mod 8
  for (int i = 0; i < 5; ++i) x *= 2 - q * x;
  return x & kLow52;
}

/// out[i][r] = 2^-52 sum_kappa s[r][kappa][i] b[r][kappa] mod q for B of the `secrets` secrets; K >
/// 0 fixes k at compile time.
template <int K, int B>
void products(const NttPlan& plan, const u64* s, std::size_t secrets, const u8* b, std::size_t rank,
              V* out) {
  const Words words(plan.modulus.word_bytes);
  const std::size_t k = K > 0 ? std::size_t{K} : rank;
  const std::size_t step = 8 * words.bytes();
  // Bytes fetched in advance, to the first level and to the second: tiles stream from memory, and
  // more lines can be on their way to the second than the first has places for.
  constexpr std::size_t kAhead = 2048;
  constexpr std::size_t kFarAhead = 8192;
  const V q = set(plan.modulus.q), q_inverse = set(inverse_mod_2_52(plan.modulus.q));
  const V zero = _mm512_setzero_si512();
  for (std::size_t r = 0; r < plan.n; ++r) {
    V low[B], high[B];
#pragma GCC unroll 4
    for (int i = 0; i < B; ++i) low[i] = high[i] = zero;
#pragma GCC unroll 16
    for (std::size_t kappa = 0; kappa < k; ++kappa, b += step, s += secrets) {
      const V word = words.load(b);
      _mm_prefetch(reinterpret_cast<const char*>(b) + kAhead, _MM_HINT_T0);
      _mm_prefetch(reinterpret_cast<const char*>(b) + kFarAhead, _MM_HINT_T1);
#pragma GCC unroll 4
      for (int i = 0; i < B; ++i) {
        const V factor = set(s[i]);
        low[i] = _mm512_madd52lo_epu64(low[i], word, factor);
        high[i] = _mm512_madd52hi_epu64(high[i], word, factor);
      }
    }
    // Montgomery: the low 52 bits of m q are those of `low`. The result is above -q and, as k <= 32
    // and the products are below 2^96, below 2 q.
#pragma GCC unroll 4
    for (std::size_t i = 0; i < B; ++i) {
      const V m = _mm512_madd52lo_epu64(zero, low[i], q_inverse);
      const V t = _mm512_sub_epi64(_mm512_add_epi64(high[i], _mm512_srli_epi64(low[i], 52)),
                                   _mm512_madd52hi_epu64(zero, m, q));
      out[i * plan.n + r] = subtract_once(add_if_negative(t, q), q);
    }
  }
}

template <int B>
void products_of_rank(const NttPlan& plan, const u64* s, std::size_t secrets, const u8* b,
                      std::size_t k, V* out) {
  switch (k) {
  case 4:
    return products<4, B>(plan, s, secrets, b, k, out);
  case 7:
    return products<7, B>(plan, s, secrets, b, k, out);
  case 8:
    return products<8, B>(plan, s, secrets, b, k, out);
  case 9:
    return products<9, B>(plan, s, secrets, b, k, out);
  default:
    return products<0, B>(plan, s, secrets, b, k, out);
  }
}

} // namespace

void ntt_forward8(const NttPlan& plan, u64* x) {
  V* v = reinterpret_cast<V*>(x);
  if (plan.modulus.bits > kIfmaBits) return wide_forward(plan, v);
  const Field f(plan.modulus.q);
  forward_passes(plan, v, f);
  const Twiddle one{1, 0, (u64{1} << 52) / plan.modulus.q};
  for (std::size_t r = 0; r < plan.n; ++r) v[r] = f.mul(v[r], one);
}

void ntt_inverse8(const NttPlan& plan, u64* x) {
  if (plan.modulus.bits > kIfmaBits) return wide_inverse(plan, reinterpret_cast<V*>(x));
  inverse_transform(plan, reinterpret_cast<V*>(x), plan.untwist.data());
}

void mask_tile(const NttPlan& plan, const u64* s, std::size_t secrets, const u8* b, std::size_t k,
               u64* out) {
  constexpr std::size_t kMaxProducts = 32;
  if (k > kMaxProducts) return reference::mask_tile(plan, s, secrets, b, k, out);
  V* v = reinterpret_cast<V*>(out);
  if (plan.modulus.bits > kIfmaBits) {
    for (std::size_t i = 0; i < secrets; ++i, v += plan.n) {
      wide_products(plan, s + i, secrets, b, k, v);
      wide_inverse(plan, v);
    }
    return;
  }
  std::size_t i = 0;
  for (; i + 4 <= secrets; i += 4) products_of_rank<4>(plan, s + i, secrets, b, k, v + i * plan.n);
  for (; i + 2 <= secrets; i += 2) products_of_rank<2>(plan, s + i, secrets, b, k, v + i * plan.n);
  if (i < secrets) products_of_rank<1>(plan, s + i, secrets, b, k, v + i * plan.n);
  for (i = 0; i < secrets; ++i) inverse_transform(plan, v + i * plan.n, plan.untwist52.data());
}

} // namespace talaria::kernels::avx512
