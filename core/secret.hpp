#pragma once

#include <cstddef>
#include <ostream>
#include <span>
#include <utility>

#include "core/matrix.hpp"

namespace talaria {

/// Overwrites `bytes` bytes at `data` with zeros in a way the compiler may not remove.
void wipe(void* data, std::size_t bytes) noexcept;

/// An AlignedBuffer that is wiped before its memory is given back, cannot be copied and cannot be
/// printed. For keys, small secrets, errors, masks and everything derived from tokens.
template <class T>
class SecretBuffer {
public:
  SecretBuffer() = default;
  explicit SecretBuffer(std::size_t count) : buffer_(count) {}
  SecretBuffer(std::size_t count, Unwritten unwritten) : buffer_(count, unwritten) {}
  SecretBuffer(SecretBuffer&&) noexcept = default;
  SecretBuffer& operator=(SecretBuffer&& other) noexcept {
    clear();
    buffer_ = std::move(other.buffer_);
    return *this;
  }
  ~SecretBuffer() { clear(); }

  T* data() noexcept { return buffer_.data(); }
  const T* data() const noexcept { return buffer_.data(); }
  std::size_t size() const noexcept { return buffer_.size(); }
  T& operator[](std::size_t i) { return buffer_[i]; }
  const T& operator[](std::size_t i) const { return buffer_[i]; }
  std::span<T> span() noexcept { return buffer_.span(); }
  std::span<const T> span() const noexcept { return buffer_.span(); }

  /// Wipes and releases the memory; the buffer is empty afterwards.
  void clear() noexcept {
    if (buffer_.data() != nullptr) wipe(buffer_.data(), buffer_.size() * sizeof(T));
    buffer_ = AlignedBuffer<T>();
  }

  /// Releases the memory as it is, for an owner that has wiped every byte of it already.
  void release_wiped() noexcept { buffer_ = AlignedBuffer<T>(); }

  friend std::ostream& operator<<(std::ostream&, const SecretBuffer&) = delete;

private:
  AlignedBuffer<T> buffer_;
};

} // namespace talaria
