#include "kernels/avx2/avx2.hpp"
#include "kernels/avx2/vector.hpp"
#include "kernels/reference/reference.hpp"

// Transforms in double precision: residues are integers held exactly in doubles, signed and lazily
// reduced. A product y w mod q is taken as
//   h = y w,  l = fma(y, w, -h),  b = rint(y (w / q)),  r = fma(-b, q, h) + l,
// where h + l = y w exactly, b misses y w / q by at most 1/2 and the rounding errors of its two
// factors, so r is exact. With |y| <= A q and q < 2^48 the latter are below 0.094 A, hence
// |r| < (1/2 + 0.094 A) q. A stage adds |r| to A: from A = 1.7 twelve stages end below 16, that is,
// below 2^52, and nothing needs reducing before the end.

namespace talaria::kernels::avx2 {

namespace {

constexpr int kDoubleBits = 48;
constexpr std::size_t kMaxProducts = 32;

using Twiddle = NttPlan::Twiddle;

struct Factor {
  D w;
  D quotient; ///< w / q
};

class Field {
public:
  __attribute__((always_inline)) explicit Field(u64 q)
      : inverse_(1.0 / static_cast<double>(static_cast<i64>(q))),
        q_(_mm256_set1_pd(static_cast<double>(static_cast<i64>(q)))) {}

  __attribute__((always_inline)) Factor factor(u64 w) const {
    const double d = static_cast<double>(static_cast<i64>(w));
    return {_mm256_set1_pd(d), _mm256_set1_pd(d * inverse_)};
  }
  __attribute__((always_inline)) D mul(D y, const Factor& f) const {
    const D h = _mm256_mul_pd(y, f.w);
    const D l = _mm256_fmsub_pd(y, f.w, h);
    const D b = _mm256_round_pd(_mm256_mul_pd(y, f.quotient),
                                _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    return _mm256_add_pd(_mm256_fnmadd_pd(b, q_, h), l);
  }
  /// From (-2 q, 2 q) to integers in [0, q).
  __attribute__((always_inline)) V normal(D x) const {
    const D zero = _mm256_setzero_pd();
    const D two_q = _mm256_add_pd(q_, q_);
    x = _mm256_add_pd(x, _mm256_and_pd(_mm256_cmp_pd(x, zero, _CMP_LT_OQ), two_q));
    x = _mm256_sub_pd(x, _mm256_and_pd(_mm256_cmp_pd(x, q_, _CMP_GE_OQ), q_));
    return to_integer(x);
  }

private:
  double inverse_;
  D q_;
};

constexpr std::size_t kLanes = 8; ///< columns, two vectors of four

std::size_t reversed(std::size_t x, int bits) {
  std::size_t r = 0;
  for (int i = 0; i < bits; ++i) r |= (x >> i & 1) << (bits - 1 - i);
  return r;
}

TALARIA_INLINE void butterfly(const Field& f, D& a, D& b, const Factor& w) {
  const D t = f.mul(b, w);
  b = _mm256_sub_pd(a, t);
  a = _mm256_add_pd(a, t);
}

// --- inverse: decimation in time from bit-reversed order, psi^-r / N left to the end
// -----------------

/// Stage number done + 1; `block` is the bit-reversed number of a value within its group of 2^done.
void inverse_stage(const NttPlan& plan, double* x, int done, const Field& f) {
  const std::size_t stride = (std::size_t{1} << done) * kLanes;
  for (std::size_t block = 0; block < (std::size_t{1} << done); ++block) {
    const Factor w = f.factor(plan.inverse.data()[block].w);
    for (double* p = x + reversed(block, done) * kLanes; p < x + plan.n * kLanes; p += 2 * stride)
      for (std::size_t c = 0; c < kLanes; c += 4) {
        D a = _mm256_load_pd(p + c), b = _mm256_load_pd(p + stride + c);
        butterfly(f, a, b, w);
        _mm256_store_pd(p + c, a);
        _mm256_store_pd(p + stride + c, b);
      }
  }
}

/// Stages done + 1 and done + 2 with one pass over memory.
void inverse_two_stages(const NttPlan& plan, double* x, int done, const Field& f) {
  const std::size_t stride = (std::size_t{1} << done) * kLanes;
  for (std::size_t block = 0; block < (std::size_t{1} << done); ++block) {
    const Factor first = f.factor(plan.inverse.data()[block].w);
    const Factor second[2] = {f.factor(plan.inverse.data()[2 * block].w),
                              f.factor(plan.inverse.data()[2 * block + 1].w)};
    for (double* p = x + reversed(block, done) * kLanes; p < x + plan.n * kLanes; p += 4 * stride)
      for (std::size_t c = 0; c < kLanes; c += 4) {
        D r[4];
        for (std::size_t j = 0; j < 4; ++j) r[j] = _mm256_load_pd(p + j * stride + c);
        butterfly(f, r[0], r[1], first);
        butterfly(f, r[2], r[3], first);
        butterfly(f, r[0], r[2], second[0]);
        butterfly(f, r[1], r[3], second[1]);
        for (std::size_t j = 0; j < 4; ++j) _mm256_store_pd(p + j * stride + c, r[j]);
      }
  }
}

/// In: doubles, at most 1.7 q in magnitude. Out: residues.
void inverse_transform(const NttPlan& plan, double* x, const Twiddle* untwist, const Field& f) {
  int done = 0;
  for (; done + 2 <= plan.log2n; done += 2) inverse_two_stages(plan, x, done, f);
  if (done < plan.log2n) inverse_stage(plan, x, done, f);
  for (std::size_t r = 0; r < plan.n; ++r) {
    const Factor w = f.factor(untwist[r].w);
    for (std::size_t c = 0; c < kLanes; c += 4) {
      double* p = x + r * kLanes + c;
      storeu(p, f.normal(f.mul(_mm256_load_pd(p), w)));
    }
  }
}

// --- forward: Cooley-Tukey with the twist merged in
// ----------------------------------------------------

void forward_stage(const NttPlan& plan, double* x, int done, const Field& f) {
  const std::size_t blocks = std::size_t{1} << done;
  const std::size_t stride = plan.n / blocks / 2 * kLanes;
  for (std::size_t block = 0; block < blocks; ++block) {
    const Factor w = f.factor(plan.forward.data()[blocks + block].w);
    double* p = x + 2 * block * stride;
    for (std::size_t c = 0; c < stride; c += 4) {
      D a = _mm256_load_pd(p + c), b = _mm256_load_pd(p + stride + c);
      butterfly(f, a, b, w);
      _mm256_store_pd(p + c, a);
      _mm256_store_pd(p + stride + c, b);
    }
  }
}

void forward_two_stages(const NttPlan& plan, double* x, int done, const Field& f) {
  const std::size_t blocks = std::size_t{1} << done;
  const std::size_t stride = plan.n / blocks / 4 * kLanes;
  for (std::size_t block = 0; block < blocks; ++block) {
    const Factor first = f.factor(plan.forward.data()[blocks + block].w);
    const Factor second[2] = {f.factor(plan.forward.data()[2 * (blocks + block)].w),
                              f.factor(plan.forward.data()[2 * (blocks + block) + 1].w)};
    double* p = x + 4 * block * stride;
    for (std::size_t c = 0; c < stride; c += 4) {
      D r[4];
      for (std::size_t j = 0; j < 4; ++j) r[j] = _mm256_load_pd(p + j * stride + c);
      butterfly(f, r[0], r[2], first);
      butterfly(f, r[1], r[3], first);
      butterfly(f, r[0], r[1], second[0]);
      butterfly(f, r[2], r[3], second[1]);
      for (std::size_t j = 0; j < 4; ++j) _mm256_store_pd(p + j * stride + c, r[j]);
    }
  }
}

/// Residues to doubles, in place.
void enter(u64* x, std::size_t n) {
  for (std::size_t i = 0; i < n; i += 4)
    _mm256_store_pd(reinterpret_cast<double*>(x + i), to_double(loadu(x + i)));
}

/// The sum over the rank for four columns, as doubles of at most 1.7 q in magnitude. Factors are
/// split at 28 bits; as they have 48 and k <= 32, no sum exceeds 61 bits.
class RankSum {
public:
  __attribute__((always_inline)) void add(V s, V b) {
    const V low = set(kLow28);
    const V s0 = _mm256_and_si256(s, low), s1 = _mm256_srli_epi64(s, 28);
    const V b0 = _mm256_and_si256(b, low), b1 = _mm256_srli_epi64(b, 28);
    sum_[0] = _mm256_add_epi64(sum_[0], _mm256_mul_epu32(s0, b0));
    sum_[1] = _mm256_add_epi64(
        sum_[1], _mm256_add_epi64(_mm256_mul_epu32(s0, b1), _mm256_mul_epu32(s1, b0)));
    sum_[2] = _mm256_add_epi64(sum_[2], _mm256_mul_epu32(s1, b1));
  }
  __attribute__((always_inline)) D reduced(const Field& f, const Factor& two28,
                                           const Factor& two56) const {
    const V low = set(kLow28);
    const V middle = _mm256_add_epi64(sum_[1], _mm256_srli_epi64(sum_[0], 28));
    const V top = _mm256_add_epi64(sum_[2], _mm256_srli_epi64(middle, 28));
    const D m = f.mul(to_double(_mm256_and_si256(middle, low)), two28);
    const D t = f.mul(to_double(top), two56);
    return _mm256_add_pd(_mm256_add_pd(t, m), to_double(_mm256_and_si256(sum_[0], low)));
  }

private:
  static constexpr u64 kLow28 = (u64{1} << 28) - 1;
  V sum_[3] = {};
};

} // namespace

void ntt_forward8(const NttPlan& plan, u64* x) {
  if (plan.modulus.bits > kDoubleBits) return reference::ntt_forward8(plan, x);
  const Field f(plan.modulus.q);
  double* d = reinterpret_cast<double*>(x);
  enter(x, plan.n * kLanes);
  int done = 0;
  for (; done + 2 <= plan.log2n; done += 2) forward_two_stages(plan, d, done, f);
  if (done < plan.log2n) forward_stage(plan, d, done, f);
  const Factor one = f.factor(1);
  for (std::size_t i = 0; i < plan.n * kLanes; i += 4)
    storeu(x + i, f.normal(f.mul(_mm256_load_pd(d + i), one)));
}

void ntt_inverse8(const NttPlan& plan, u64* x) {
  if (plan.modulus.bits > kDoubleBits) return reference::ntt_inverse8(plan, x);
  enter(x, plan.n * kLanes);
  inverse_transform(plan, reinterpret_cast<double*>(x), plan.untwist.data(), Field(plan.modulus.q));
}

void mask_tile(const NttPlan& plan, const u64* s, std::size_t secrets, const u8* b, std::size_t k,
               u64* out) {
  const Modulus& q = plan.modulus;
  if (q.bits > kDoubleBits || q.word_bytes <= kFewestBytes || k > kMaxProducts)
    return reference::mask_tile(plan, s, secrets, b, k, out);
  const Field f(q.q);
  const Words words(q.word_bytes);
  const Factor two28 = f.factor((u64{1} << 28) % q.q), two56 = f.factor((u64{1} << 56) % q.q);
  for (std::size_t i = 0; i < secrets; ++i, out += plan.n * kLanes) {
    double* x = reinterpret_cast<double*>(out);
    const u8* words8 = b;
    for (std::size_t r = 0; r < plan.n; ++r) {
      RankSum sum[2];
      for (std::size_t kappa = 0; kappa < k; ++kappa, words8 += kLanes * words.bytes()) {
        const V factor = set(s[(r * k + kappa) * secrets + i]);
        sum[0].add(factor, words.load4(words8));
        sum[1].add(factor, words.load4(words8 + 4 * words.bytes()));
      }
      _mm256_store_pd(x + r * kLanes, sum[0].reduced(f, two28, two56));
      _mm256_store_pd(x + r * kLanes + 4, sum[1].reduced(f, two28, two56));
    }
    inverse_transform(plan, x, plan.untwist.data(), f);
  }
}

} // namespace talaria::kernels::avx2
