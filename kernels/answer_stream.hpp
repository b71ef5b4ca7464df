#pragma once

#include <cstddef>

#include "core/integers.hpp"
#include "core/matrix.hpp"
#include "kernels/modulus.hpp"
#include "kernels/packed_weights.hpp"

/// Inputs of known answers, and what they are told by.
namespace talaria::kernels::answers {

inline constexpr u64 kPrimes[] = {1099511480321, 281474976694273,
                                  18014398492704769}; // 5, 6, 7 bytes

/// A fixed stream of numbers (splitmix64); no secret depends on it.
class Stream {
public:
  u64 next() {
    u64 z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  u64 below(u64 bound) { return static_cast<u64>(u128{next()} * bound >> 64); }
  float real() { return static_cast<float>(static_cast<i64>(next()) >> 24) * 0x1p-36f; }

private:
  u64 state_ = 0;
};

/// The bytes of every result of one kernel, as one number (FNV-1a).
class Fingerprint {
public:
  template <class T>
  void add(const T* data, std::size_t count) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(data);
    for (std::size_t i = 0; i < count * sizeof(T); ++i)
      state_ = (state_ ^ bytes[i]) * 0x100000001b3u;
  }
  void add(u64 value) { add(&value, 1); }
  void add(float value) { add(&value, 1); }
  u64 value() const { return state_; }

private:
  u64 state_ = 0xcbf29ce484222325u;
};

inline AlignedBuffer<u64> residues(std::size_t n, u64 q, Stream& stream) {
  AlignedBuffer<u64> x(n);
  for (u64& v : x) v = stream.below(q);
  x[0] = q - 1;
  return x;
}

inline AlignedBuffer<float> reals(std::size_t n, Stream& stream) {
  AlignedBuffer<float> x(n);
  for (float& v : x) v = stream.real();
  return x;
}

inline AlignedBuffer<u8> words(const AlignedBuffer<u64>& x, const Modulus& q) {
  AlignedBuffer<u8> out(x.size() * static_cast<std::size_t>(q.word_bytes));
  for (std::size_t i = 0; i < x.size(); ++i)
    store_word(out.data() + i * static_cast<std::size_t>(q.word_bytes), x[i], q.word_bytes);
  return out;
}

/// [75, 83] any weights.
inline PackedWeights weights(Stream& stream) {
  PackedWeights w(75, 83);
  for (std::size_t i = 0; i < w.d_in(); ++i)
    for (std::size_t j = 0; j < w.d_out(); ++j) w.at(i, j) = static_cast<i8>(stream.next());
  return w;
}

} // namespace talaria::kernels::answers
