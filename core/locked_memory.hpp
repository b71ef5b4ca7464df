#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

#include "core/integers.hpp"

namespace talaria {

/// What became of a wish to keep memory out of swap and of core dumps.
struct LockReport {
  std::size_t locked = 0;   ///< bytes that stay in memory
  std::size_t unlocked = 0; ///< bytes that may be written to swap
  int error = 0;            ///< errno of mlock(2), 0 if it locked them
};

/// Keeps the pages of [memory, memory + bytes) in memory (mlock) and out of core dumps
/// (MADV_DONTDUMP). Whole pages are meant: give memory that begins on one, or its neighbours are
/// locked as well. What RLIMIT_MEMLOCK forbids is counted in unlocked_bytes(), and is no error.
LockReport lock_memory(void* memory, std::size_t bytes) noexcept;

/// Undoes lock_memory() on memory that goes back to an allocator: `report` is what it returned.
/// Wipe secrets first.
void unlock_memory(void* memory, std::size_t bytes, const LockReport& report) noexcept;

/// Bytes that should be locked now and are not, in the whole process.
std::size_t unlocked_bytes() noexcept;

/// Locks all memory of the process, present and future, as pages are first touched (mlockall).
/// Without the right to (an unlimited RLIMIT_MEMLOCK or CAP_IPC_LOCK) nothing is locked: a limit
/// that is reached later would make allocations fail. @return whether it is locked
bool lock_process_memory() noexcept;

/// One line for the operator that names the limit and whether there is swap: if memory that was to
/// be locked one by one is not, with what that needs; or else if lock_process_memory() was not
/// allowed to and this machine swaps. Empty if there is nothing to do.
/// @param root  where the kernel's /proc is found; another one for tests
std::string lock_warning(const std::filesystem::path& root = "/");

/// `bytes` of zeroed, private, locked memory on pages of its own, with 64 readable bytes behind
/// them so that vector kernels may load past the end. Empty for 0. Move-only; locked as far as the
/// limit allows (lock_memory()).
class LockedBuffer {
public:
  LockedBuffer() = default;
  /// @throws std::bad_alloc
  explicit LockedBuffer(std::size_t bytes);
  LockedBuffer(LockedBuffer&& other) noexcept { swap(other); }
  LockedBuffer& operator=(LockedBuffer&& other) noexcept {
    swap(other);
    return *this;
  }
  ~LockedBuffer();

  u8* data() noexcept { return data_; }
  const u8* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return bytes_; }
  std::span<u8> span() noexcept { return {data_, bytes_}; }
  std::span<const u8> span() const noexcept { return {data_, bytes_}; }
  const LockReport& report() const noexcept { return report_; }

private:
  void swap(LockedBuffer& other) noexcept;

  u8* data_ = nullptr;
  std::size_t bytes_ = 0;
  std::size_t mapped_ = 0;
  LockReport report_;
};

} // namespace talaria
