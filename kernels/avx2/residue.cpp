#include "kernels/avx2/avx2.hpp"
#include "kernels/avx2/vector.hpp"
#include "kernels/reference/reference.hpp"

// Four residues at a time; the last few of a row are left to the reference.

namespace talaria::kernels::avx2 {

namespace {

bool has_shuffles(const Modulus& q) {
  return q.word_bytes >= kFewestBytes && q.word_bytes <= 7;
}

/// Exact sums of products of numbers below 2^56, split at 28 bits. Each partial product is below
/// 2^56, so that 2^7 of them may be added before they are moved into the wide sums.
class WideSum {
public:
  static constexpr std::size_t kMoveEvery = 64;

  __attribute__((always_inline)) void add(V a, V b) {
    const V low = set((u64{1} << 28) - 1);
    const V a0 = _mm256_and_si256(a, low), a1 = _mm256_srli_epi64(a, 28);
    const V b0 = _mm256_and_si256(b, low), b1 = _mm256_srli_epi64(b, 28);
    sum_[0] = _mm256_add_epi64(sum_[0], _mm256_mul_epu32(a0, b0));
    sum_[1] = _mm256_add_epi64(
        sum_[1], _mm256_add_epi64(_mm256_mul_epu32(a0, b1), _mm256_mul_epu32(a1, b0)));
    sum_[2] = _mm256_add_epi64(sum_[2], _mm256_mul_epu32(a1, b1));
  }
  __attribute__((always_inline)) void move() {
    for (int i = 0; i < 3; ++i) {
      low_[i] = _mm256_add_epi64(low_[i], _mm256_and_si256(sum_[i], set(0xffffffff)));
      high_[i] = _mm256_add_epi64(high_[i], _mm256_srli_epi64(sum_[i], 32));
      sum_[i] = _mm256_setzero_si256();
    }
  }
  u64 total(const Modulus& q) const {
    u64 result = 0;
    alignas(32) u64 low[4];
    alignas(32) u64 high[4];
    for (int i = 2; i >= 0; --i) {
      u128 sum = u128{result} << 28;
      _mm256_store_si256(reinterpret_cast<V*>(low), low_[i]);
      _mm256_store_si256(reinterpret_cast<V*>(high), high_[i]);
      for (int l = 0; l < 4; ++l) sum += low[l] + (u128{high[l]} << 32);
      result = reference::reduce_wide(sum, q);
    }
    return result;
  }

private:
  V sum_[3] = {};
  V low_[3] = {};
  V high_[3] = {};
};

/// sum_i left(i) z[i] over the multiples of four, where left gives the four numbers from i on.
template <class Left>
TALARIA_INLINE u64 wide_dot(Left left, const u64* z, std::size_t n, const Modulus& q) {
  WideSum sum;
  std::size_t i = 0;
  while (i + 4 <= n) {
    const std::size_t end = n - i > 4 * WideSum::kMoveEvery ? i + 4 * WideSum::kMoveEvery : n;
    for (; i + 4 <= end; i += 4) sum.add(left(i), loadu(z + i));
    sum.move();
  }
  return sum.total(q);
}

u64 add_mod(u64 a, u64 b, const Modulus& q) {
  return reference::reduce_wide(u128{a} + b, q);
}

V load_integers(const i64* x) {
  return loadu(x);
}
V load_integers(const i32* x) {
  return _mm256_cvtepi32_epi64(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
}

constexpr auto reference_dots(const i64*) {
  return reference::row_dots;
}
constexpr auto reference_dots(const i32*) {
  return reference::row_dots32;
}

/// All of a row's inner products, the last few by the reference.
template <class Integer>
RowDots dots(const u8* row, const Integer* x, const CheckVectors& z, std::size_t n,
             const Modulus& q) {
  const Words words(q.word_bytes);
  const V vq = set(q.q);
  const auto word = [&](std::size_t i) __attribute__((always_inline)) {
    return words.load4(row + i * words.bytes());
  };
  const auto integer = [&](std::size_t i) __attribute__((always_inline)) {
    return add_if_negative(load_integers(x + i), vq);
  };
  const std::size_t done = n / 4 * 4;
  RowDots out = reference_dots(x)(row == nullptr ? nullptr : row + done * words.bytes(),
                                  x == nullptr ? nullptr : x + done, z.from(done), n - done, q);
  const auto add = [&](u64& sum, u64 more) { sum = add_mod(sum, more, q); };
  if (row != nullptr) {
    for (std::size_t v = 0; v < z.count; ++v) add(out.words[v], wide_dot(word, z.z[v], n, q));
    V largest = _mm256_setzero_si256(); // words have fewer than 63 bits
    for (std::size_t i = 0; i < done; i += 4) {
      const V w = word(i);
      largest = _mm256_blendv_epi8(largest, w, _mm256_cmpgt_epi64(w, largest));
    }
    out.below &= _mm256_movemask_epi8(_mm256_cmpgt_epi64(vq, largest)) == -1;
  }
  if (x != nullptr) {
    for (std::size_t v = 0; v < z.count; ++v) add(out.integers[v], wide_dot(integer, z.z[v], n, q));
  }
  return out;
}

} // namespace

void mask_row(const i32* x, const u8* u, u8* out, std::size_t n, int delta_bits, const Modulus& q) {
  if (!has_shuffles(q)) return reference::mask_row(x, u, out, n, delta_bits, q);
  const Words words(q.word_bytes);
  const V vq = set(q.q);
  const __m128i shift = _mm_cvtsi32_si128(delta_bits);
  std::size_t i = 0;
  for (; i + 4 <= n; i += 4) {
    const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x + i));
    V t = _mm256_sll_epi64(_mm256_cvtepi32_epi64(v), shift);
    if (u != nullptr) t = _mm256_add_epi64(t, words.load4(u + i * words.bytes()));
    words.store4(out + i * words.bytes(), subtract_once(add_if_negative(t, vq), vq));
  }
  const u8* rest = u == nullptr ? nullptr : u + i * words.bytes();
  reference::mask_row(x + i, rest, out + i * words.bytes(), n - i, delta_bits, q);
}

void decode_row(const u8* y, const u8* v, i64* r, std::size_t n, int delta_bits, const Modulus& q) {
  if (!has_shuffles(q)) return reference::decode_row(y, v, r, n, delta_bits, q);
  const Words words(q.word_bytes);
  const u64 most = (q.q - 1) / 2; // c + most is in [0, q)
  const u64 half = delta_bits > 0 ? u64{1} << (delta_bits - 1) : 0;
  // There is no arithmetic shift of 64 bits: 2^62 makes the number positive and is taken off again.
  const u64 lift = u64{1} << 62;
  const V vq = set(q.q), offset = set(most), back = set(half - most + lift);
  const V lower = set(lift >> delta_bits);
  const __m128i shift = _mm_cvtsi32_si128(delta_bits);
  std::size_t i = 0;
  for (; i + 4 <= n; i += 4) {
    V t = _mm256_add_epi64(words.load4(y + i * words.bytes()), offset);
    if (v != nullptr) t = _mm256_sub_epi64(t, words.load4(v + i * words.bytes()));
    t = subtract_once(add_if_negative(t, vq), vq);
    t = _mm256_srl_epi64(_mm256_add_epi64(t, back), shift);
    storeu(r + i, _mm256_sub_epi64(t, lower));
  }
  const u8* rest = v == nullptr ? nullptr : v + i * words.bytes();
  reference::decode_row(y + i * words.bytes(), rest, r + i, n - i, delta_bits, q);
}

RowDots row_dots(const u8* words, const i64* x, const CheckVectors& z, std::size_t n,
                 const Modulus& q) {
  return has_shuffles(q) ? dots(words, x, z, n, q) : reference::row_dots(words, x, z, n, q);
}

RowDots row_dots32(const u8* words, const i32* x, const CheckVectors& z, std::size_t n,
                   const Modulus& q) {
  return has_shuffles(q) ? dots(words, x, z, n, q) : reference::row_dots32(words, x, z, n, q);
}

namespace {

/// Set bits of each 64-bit lane. The table of nibbles is a register: no address depends on a
/// secret.
TALARIA_INLINE V count_bits(V x) {
  const V table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, //
                                   0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
  const V nibble = _mm256_set1_epi8(15);
  const V low = _mm256_shuffle_epi8(table, _mm256_and_si256(x, nibble));
  const V high = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi64(x, 4), nibble));
  return _mm256_sad_epu8(_mm256_add_epi8(low, high), _mm256_setzero_si256());
}

} // namespace

void centered_binomial21(const u8* bytes, i8* out, std::size_t n) {
  const Words words(6);
  const V coins = set((u64{1} << 21) - 1);
  std::size_t i = 0;
  for (; i + 4 <= n; i += 4) {
    const V w = words.load4(bytes + 6 * i);
    const V plus = count_bits(_mm256_and_si256(w, coins));
    const V minus = count_bits(_mm256_and_si256(_mm256_srli_epi64(w, 21), coins));
    const V e = _mm256_sub_epi64(plus, minus);
    alignas(32) i64 lanes[4];
    _mm256_store_si256(reinterpret_cast<V*>(lanes), e);
    for (std::size_t l = 0; l < 4; ++l) out[i + l] = static_cast<i8>(lanes[l]);
  }
  reference::centered_binomial21(bytes + 6 * i, out + i, n - i);
}

// Between transforms that take five times as long, the reference is fast enough.
void mask_rows(const u64* tiles, std::size_t tile_stride, const i8* errors, std::size_t n,
               std::size_t columns, u8* out, std::size_t stride, const WordRounding& to) {
  reference::mask_rows(tiles, tile_stride, errors, n, columns, out, stride, to);
}

void pack_words(const u64* x, u8* out, std::size_t n, const Modulus& q) {
  if (!has_shuffles(q)) return reference::pack_words(x, out, n, q);
  const Words words(q.word_bytes);
  std::size_t i = 0;
  for (; i + 4 <= n; i += 4) words.store4(out + i * words.bytes(), loadu(x + i));
  reference::pack_words(x + i, out + i * words.bytes(), n - i, q);
}

void unpack_words(const u8* in, u64* out, std::size_t n, const Modulus& q) {
  if (!has_shuffles(q)) return reference::unpack_words(in, out, n, q);
  const Words words(q.word_bytes);
  std::size_t i = 0;
  for (; i + 4 <= n; i += 4) storeu(out + i, words.load4(in + i * words.bytes()));
  reference::unpack_words(in + i * words.bytes(), out + i, n - i, q);
}

} // namespace talaria::kernels::avx2
