#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "core/matrix.hpp"

namespace talaria {

/// Large buffers that are done with, for the next ones of the same size: getting tens of megabytes
/// from the system anew costs as much as filling them. `Buffer` is an AlignedBuffer or a
/// SecretBuffer; of the latter only clean ones may be given. Thread-safe.
template <class Buffer>
class Recycler {
public:
  /// Keeps at most so many bytes.
  explicit Recycler(std::size_t most_bytes) : most_bytes_(most_bytes) {}

  /// A buffer of `count` elements, whatever they hold.
  Buffer take(std::size_t count) {
    {
      const std::lock_guard lock(mutex_);
      const auto fits = [count](const Buffer& buffer) { return buffer.size() == count; };
      const auto found = std::find_if(spare_.rbegin(), spare_.rend(), fits);
      if (found != spare_.rend()) {
        Buffer buffer = std::move(*found);
        spare_.erase(std::next(found).base());
        bytes_ -= bytes_of(buffer);
        return buffer;
      }
    }
    return Buffer(count, Unwritten{});
  }

  /// Keeps `buffer`, and frees the oldest ones if that makes too many. Called from destructors:
  /// where there is no memory for the list, the buffer is freed instead.
  void give(Buffer buffer) noexcept {
    if (bytes_of(buffer) > most_bytes_) return;
    try {
      keep(std::move(buffer));
    } catch (const std::bad_alloc&) {
    }
  }

private:
  void keep(Buffer buffer) {
    std::vector<Buffer> surplus; // freed behind the lock
    const std::lock_guard lock(mutex_);
    const std::size_t bytes = bytes_ + bytes_of(buffer);
    std::size_t gone = 0;
    for (std::size_t left = bytes; left > most_bytes_; ++gone) left -= bytes_of(spare_[gone]);
    surplus.reserve(gone);
    spare_.push_back(std::move(buffer)); // the last thing that may throw
    const auto end = spare_.begin() + static_cast<std::ptrdiff_t>(gone);
    std::move(spare_.begin(), end, std::back_inserter(surplus));
    spare_.erase(spare_.begin(), end);
    bytes_ = bytes;
    for (const Buffer& freed : surplus) bytes_ -= bytes_of(freed);
  }

  static std::size_t bytes_of(const Buffer& buffer) {
    return buffer.size() * sizeof(*buffer.data());
  }

  const std::size_t most_bytes_;
  std::mutex mutex_;
  std::size_t bytes_ = 0;
  std::vector<Buffer> spare_; ///< oldest first
};

} // namespace talaria
