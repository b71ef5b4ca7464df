#include "kernels/reference/modular.hpp"
#include "kernels/reference/reference.hpp"

namespace talaria::kernels::reference {

void mask_row(const i32* x, const u8* u, u8* out, std::size_t n, int delta_bits, const Modulus& q) {
  const int bytes = q.word_bytes;
  for (std::size_t i = 0; i < n; ++i) {
    const i64 scaled = i64{x[i]} * (i64{1} << delta_bits);
    const u64 residue = static_cast<u64>(scaled) + (q.q & static_cast<u64>(scaled >> 63));
    const u64 mask = u == nullptr ? 0 : load_word(u + i * bytes, bytes);
    store_word(out + i * bytes, add_mod(residue, mask, q.q), bytes);
  }
}

void decode_row(const u8* y, const u8* v, i64* r, std::size_t n, int delta_bits, const Modulus& q) {
  const int bytes = q.word_bytes;
  const i64 half = delta_bits > 0 ? i64{1} << (delta_bits - 1) : 0;
  const i64 most = static_cast<i64>(q.q / 2);
  for (std::size_t i = 0; i < n; ++i) {
    const u64 mask = v == nullptr ? 0 : load_word(v + i * bytes, bytes);
    const i64 d = static_cast<i64>(sub_mod(load_word(y + i * bytes, bytes), mask, q.q));
    const i64 centered = d - (static_cast<i64>(q.q) & ((most - d) >> 63));
    r[i] = (centered + half) >> delta_bits;
  }
}

namespace {

// A word has up to 56 bits, z 54 and n 24: more than 128 together. The lower 28 bits of the words
// and the rest are summed apart, each below 2^(28 + 54 + 24).
u64 dot_words(const u8* a, const u64* z, std::size_t n, const Modulus& q) {
  constexpr u64 kLow = (u64{1} << 28) - 1;
  u128 low = 0;
  u128 top = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const u64 word = load_word(a + i * q.word_bytes, q.word_bytes);
    low += u128{word & kLow} * z[i];
    top += u128{word >> 28} * z[i];
  }
  const Reducer reduce(q.q);
  return reduce(low + (u128{reduce(top)} << 28));
}

bool words_below(const u8* words, std::size_t n, const Modulus& q) {
  bool below = true;
  for (std::size_t i = 0; i < n; ++i)
    below &= load_word(words + i * q.word_bytes, q.word_bytes) < q.q;
  return below;
}

template <class Integer>
u64 dot_signed(const Integer* x, const u64* z, std::size_t n, const Modulus& q) {
  constexpr i64 kLow = (i64{1} << 28) - 1;
  u128 low = 0;
  i128 top = 0;
  for (std::size_t i = 0; i < n; ++i) {
    low += u128{static_cast<u64>(x[i] & kLow)} * z[i];
    top += i128{x[i] >> 28} * static_cast<i64>(z[i]);
  }
  const Reducer reduce(q.q);
  const u128 sign = static_cast<u128>(top >> 127);
  const u64 magnitude = reduce((static_cast<u128>(top) ^ sign) - sign);
  const u64 minus = static_cast<u64>(sign);
  const u64 residue = reduce_once((q.q & minus) + ((magnitude ^ minus) - minus), q.q);
  return reduce(low + (u128{residue} << 28));
}

template <class Integer>
RowDots dots(const u8* words, const Integer* x, const CheckVectors& z, std::size_t n,
             const Modulus& q) {
  RowDots out;
  if (words != nullptr) out.below = words_below(words, n, q);
  for (std::size_t v = 0; v < z.count; ++v) {
    if (words != nullptr) out.words[v] = dot_words(words, z.z[v], n, q);
    if (x != nullptr) out.integers[v] = dot_signed(x, z.z[v], n, q);
  }
  return out;
}

} // namespace

RowDots row_dots(const u8* words, const i64* x, const CheckVectors& z, std::size_t n,
                 const Modulus& q) {
  return dots(words, x, z, n, q);
}

RowDots row_dots32(const u8* words, const i32* x, const CheckVectors& z, std::size_t n,
                   const Modulus& q) {
  return dots(words, x, z, n, q);
}

namespace {

// Sums neighbouring fields in registers: a table would be read at secret addresses.
u64 count_bits(u64 x) {
  x -= (x >> 1) & 0x5555555555555555u;
  x = (x & 0x3333333333333333u) + ((x >> 2) & 0x3333333333333333u);
  x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu;
  return x * 0x0101010101010101u >> 56;
}

} // namespace

void centered_binomial21(const u8* bytes, i8* out, std::size_t n) {
  constexpr u64 kCoins = (u64{1} << 21) - 1;
  for (std::size_t i = 0; i < n; ++i) {
    const u64 w = load_word(bytes + 6 * i, 6);
    out[i] = static_cast<i8>(static_cast<int>(count_bits(w & kCoins)) -
                             static_cast<int>(count_bits(w >> 21 & kCoins)));
  }
}

void mask_rows(const u64* tiles, std::size_t tile_stride, const i8* errors, std::size_t n,
               std::size_t columns, u8* out, std::size_t stride, const WordRounding& to) {
  constexpr std::size_t kTile = 8, kColumns = 64;
  const i64 m = static_cast<i64>(to.q.q);
  const int bytes = to.p.word_bytes;
  for (std::size_t r = 0; r < n; ++r, out += stride)
    for (std::size_t c = 0; c < columns; ++c) {
      i64 sum = static_cast<i64>(tiles[c / kTile * tile_stride + r * kTile + c % kTile]);
      if (errors != nullptr) sum += errors[r * kColumns + c];
      sum += m & (sum >> 63); // in constant time
      sum -= m;
      sum += m & (sum >> 63);
      const u64 residue = static_cast<u64>(sum);
      store_word(out + c * static_cast<std::size_t>(bytes), to.rounds() ? to(residue) : residue,
                 bytes);
    }
}

void pack_words(const u64* x, u8* out, std::size_t n, const Modulus& q) {
  for (std::size_t i = 0; i < n; ++i) store_word(out + i * q.word_bytes, x[i], q.word_bytes);
}

void unpack_words(const u8* in, u64* out, std::size_t n, const Modulus& q) {
  for (std::size_t i = 0; i < n; ++i) out[i] = load_word(in + i * q.word_bytes, q.word_bytes);
}

u64 reduce_wide(u128 x, const Modulus& q) {
  return Reducer(q.q)(x);
}

} // namespace talaria::kernels::reference
