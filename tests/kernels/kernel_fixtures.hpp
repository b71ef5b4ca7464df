#pragma once

#include <boost/test/unit_test.hpp>
#include <sys/mman.h>
#include <unistd.h>

#include <bit>
#include <cstddef>
#include <cstring>
#include <string>
#include <type_traits>

#include "core/integers.hpp"
#include "core/splitmix.hpp"
#include "kernels/kernel_set.hpp"

namespace talaria::kernels::test {

/// First the moduli of the accepted parameter sets S40, S46, S48 and S54; then primes around the
/// limits of the vector targets: 32 and 33 bits, just above 2^48, the largest below 2^54. All are 1
/// mod 8192, for transforms of any length.
inline constexpr u64 kPrimes[] = {1099511480321,     70368743669761,   281474976694273,
                                  18014398492704769, 4294828033,       8589852673,
                                  281474976768001,   18014398509309953};

/// Moduli of masks that are rounded: those of R43 and R48, and wider ones.
inline constexpr u64 kRoundedFrom[] = {8796093008897, 281474976694273, 281474976768001,
                                       18014398492704769};

inline constexpr std::size_t kLengths[] = {1,  2,  3,  7,  8,  9,   15,  16,  17,   31,  32,
                                           33, 63, 64, 65, 95, 100, 255, 256, 1000, 1003};

/// Reproducible numbers.
class Stream : public SplitMix {
public:
  using SplitMix::SplitMix;
  /// A residue; one in eight is 0, 1 or next to q.
  u64 residue(u64 q) {
    const u64 edges[] = {0, 1, q - 1, q - 2, q / 2, q / 2 + 1};
    return below(8) == 0 ? edges[below(6)] : below(q);
  }
  /// In [-1, 1), uniform.
  float real() { return static_cast<float>(static_cast<i64>(next()) >> 24) * 0x1p-39f; }
  /// Of any size up to 2^exponent in magnitude, sometimes zero of either sign or subnormal.
  float wild(int exponent) {
    const u64 kind = below(16);
    if (kind == 0) return 0.0f;
    if (kind == 1) return -0.0f;
    if (kind == 2) return std::bit_cast<float>(static_cast<u32>(next() & 0x807fffffu));
    const int e = static_cast<int>(below(static_cast<u64>(2 * exponent))) - exponent;
    return real() * std::bit_cast<float>(static_cast<u32>(e + 127) << 23);
  }
};

/// `count` elements that end where an unreadable page begins, with a pattern before them: whoever
/// reads or writes past the end crashes, whoever writes before the beginning is found out.
template <class T>
class Guarded {
  static_assert(std::is_trivially_copyable_v<T>);

public:
  explicit Guarded(std::size_t count) : count_(count) {
    const std::size_t page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t bytes = count * sizeof(T);
    body_ = round_up(bytes + kFront, page);
    map_ = static_cast<u8*>(
        mmap(nullptr, body_ + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    BOOST_REQUIRE(map_ != MAP_FAILED);
    BOOST_REQUIRE(mprotect(map_ + body_, page, PROT_NONE) == 0);
    page_ = page;
    data_ = reinterpret_cast<T*>(map_ + body_ - bytes);
    std::memset(map_, kPattern, body_ - bytes);
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  ~Guarded() {
    BOOST_TEST(front_intact(), "wrote before the beginning");
    munmap(map_, body_ + page_);
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  std::size_t size() const { return count_; }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }
  T* begin() { return data_; }
  T* end() { return data_ + count_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + count_; }
  void fill_bytes(int value) { std::memset(static_cast<void*>(data_), value, count_ * sizeof(T)); }
  bool same_bytes(const Guarded& other) const {
    return count_ == other.count_ && std::memcmp(data_, other.data_, count_ * sizeof(T)) == 0;
  }

private:
  static constexpr std::size_t kFront = 64;
  static constexpr int kPattern = 0xa5;
  bool front_intact() const {
    const u8* first = reinterpret_cast<const u8*>(data_);
    for (const u8* p = first - kFront; p < first; ++p)
      if (*p != kPattern) return false;
    return true;
  }
  std::size_t count_;
  std::size_t body_ = 0;
  std::size_t page_ = 0;
  u8* map_ = nullptr;
  T* data_ = nullptr;
};

inline void fill_residues(Guarded<u64>& x, u64 q, Stream& stream) {
  for (u64& v : x) v = stream.residue(q);
}
inline void fill_words(Guarded<u8>& out, std::size_t n, const Modulus& q, Stream& stream) {
  for (std::size_t i = 0; i < n; ++i)
    store_word(out.data() + i * static_cast<std::size_t>(q.word_bytes), stream.residue(q.q),
               q.word_bytes);
}
inline u64 word_at(const Guarded<u8>& words, std::size_t i, const Modulus& q) {
  return load_word(words.data() + i * static_cast<std::size_t>(q.word_bytes), q.word_bytes);
}
inline std::size_t word_bytes(const Modulus& q) {
  return static_cast<std::size_t>(q.word_bytes);
}

inline const KernelSet& reference_row() {
  return kernel_sets().back();
}

/// Calls body(row) for every SIMD target that this CPU runs, the reference included.
template <class Body>
void for_each_row(Body body) {
  for (const KernelSet& row : kernel_sets())
    if ((row.needs & ~cpu_features()) == 0) {
      BOOST_TEST_CONTEXT("kernel set " << row.name) {
        body(row);
      }
    }
}

} // namespace talaria::kernels::test
