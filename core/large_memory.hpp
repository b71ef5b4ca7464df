#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <vector>

#include "core/integers.hpp"

namespace talaria {

/// Mappings of at least this many bytes ask for pages of this size.
inline constexpr std::size_t kHugePage = std::size_t{2} << 20;

/// Large blocks of memory between two uses. A prompt of some hundred rows takes and frees tens of
/// megabytes for every matrix, and pages that the system gives out anew cost more than filling
/// them: they are zeroed, and on a virtual machine found by the host as well. So blocks that are
/// done with wait here for the next of their size, whoever frees them and whoever asks. What they
/// held is still there: secrets are wiped by their owners (core/secret.hpp). A block is a mapping
/// of its own, which is in no core dump (MADV_DONTDUMP) and does not exist in a child of this
/// process (MADV_DONTFORK). Thread-safe.
class LargeMemory {
public:
  /// Smaller blocks are left to malloc, which keeps them well.
  static constexpr std::size_t kLeast = std::size_t{64} << 10;

  /// Keeps at most so many bytes that nobody uses; the oldest leave first.
  explicit LargeMemory(std::size_t max_bytes) : max_bytes_(max_bytes) {}
  ~LargeMemory();
  LargeMemory(const LargeMemory&) = delete;
  LargeMemory& operator=(const LargeMemory&) = delete;

  /// The store of all AlignedBuffers: half a gigabyte, and what allowances add. Lives until the
  /// process ends.
  static LargeMemory& process();

  /// `bytes` >= kLeast of anything, on a page; from 2 MiB on a huge page, if the system has some.
  /// @throws std::bad_alloc.
  void* take(std::size_t bytes);
  /// Takes back what take(bytes) has given.
  void give(void* block, std::size_t bytes) noexcept;
  /// Bytes that nobody uses now.
  std::size_t kept_bytes() const;

  /// Lets `store` keep so many bytes more for as long as it lives.
  class Allowance {
  public:
    Allowance(LargeMemory& store, std::size_t bytes);
    ~Allowance();
    Allowance(const Allowance&) = delete;
    Allowance& operator=(const Allowance&) = delete;

  private:
    LargeMemory& store_;
    std::size_t bytes_;
  };

private:
  struct Block {
    void* memory;
    u64 given; ///< counts upwards: when
  };
  struct Sized {
    void* memory;
    std::size_t size;
  };

  void* reuse(std::size_t size);
  bool keep(void* block, std::size_t size) noexcept;
  Sized oldest_beyond_limit() noexcept;
  void free_what_is_too_much() noexcept;

  mutable std::mutex mutex_; ///< of everything below
  std::size_t max_bytes_;
  std::size_t bytes_ = 0;
  u64 given_ = 0;
  std::map<std::size_t, std::vector<Block>> kept_; ///< by size, the oldest first
};

} // namespace talaria
