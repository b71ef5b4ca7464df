#pragma once

#include <cassert>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

#include "core/integers.hpp"
#include "core/large_memory.hpp"

namespace talaria {

/// Says that every element of a new buffer will be written before it is read.
struct Unwritten {};

/// `count` default-initialised (zeroed) trivially copyable elements, 64-byte aligned, with 64 bytes
/// of readable slack behind the last one so that vector kernels may load past the end. Large ones
/// lie in LargeMemory. Move-only.
template <class T>
class AlignedBuffer {
  static_assert(std::is_trivially_copyable_v<T>);

public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t count) : AlignedBuffer(count, Unwritten{}) {
    if (count != 0) std::memset(static_cast<void*>(data_), 0, count * sizeof(T));
  }
  /// Not zeroed, but for the slack.
  AlignedBuffer(std::size_t count, Unwritten) : count_(count) {
    if (count == 0) return;
    const std::size_t bytes = memory_bytes();
    void* const memory = bytes < LargeMemory::kLeast ? std::aligned_alloc(kLine, bytes)
                                                     : LargeMemory::process().take(bytes);
    if (memory == nullptr) throw std::bad_alloc();
    data_ = static_cast<T*>(memory);
    std::memset(reinterpret_cast<u8*>(data_) + count * sizeof(T), 0, kLine);
  }
  AlignedBuffer(AlignedBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), count_(std::exchange(other.count_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
    return *this;
  }
  ~AlignedBuffer() {
    if (data_ == nullptr || memory_bytes() < LargeMemory::kLeast)
      std::free(data_);
    else
      LargeMemory::process().give(data_, memory_bytes());
  }

  T* data() noexcept { return data_; }
  const T* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return count_; }
  bool empty() const noexcept { return count_ == 0; }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }
  T* begin() noexcept { return data_; }
  T* end() noexcept { return data_ + count_; }
  const T* begin() const noexcept { return data_; }
  const T* end() const noexcept { return data_ + count_; }
  std::span<T> span() noexcept { return {data_, count_}; }
  std::span<const T> span() const noexcept { return {data_, count_}; }

private:
  static constexpr std::size_t kLine = 64;

  std::size_t memory_bytes() const noexcept { return round_up(count_ * sizeof(T) + kLine, kLine); }

  T* data_ = nullptr;
  std::size_t count_ = 0;
};

/// Borrows a row-major matrix [rows, cols]; `stride` elements from one row to the next.
template <class T>
struct MatrixView {
  T* data = nullptr;
  std::size_t rows = 0;
  std::size_t cols = 0;
  std::size_t stride = 0;

  MatrixView() = default;
  MatrixView(T* d, std::size_t r, std::size_t c) : data(d), rows(r), cols(c), stride(c) {}
  MatrixView(T* d, std::size_t r, std::size_t c, std::size_t s)
      : data(d), rows(r), cols(c), stride(s) {}
  template <class U>
  requires(std::is_same_v<const U, T>) MatrixView(const MatrixView<U>& other)
      : data(other.data), rows(other.rows), cols(other.cols), stride(other.stride) {}

  T* row(std::size_t r) const {
    assert(r < rows);
    return data + r * stride;
  }
  T& operator()(std::size_t r, std::size_t c) const { return row(r)[c]; }
};

/// Owns a zero-initialised row-major matrix [rows, cols], rows packed without gaps. Move-only.
template <class T>
class Matrix {
public:
  Matrix() = default;
  Matrix(std::size_t rows, std::size_t cols) : buffer_(rows * cols), rows_(rows), cols_(cols) {}
  Matrix(std::size_t rows, std::size_t cols, Unwritten unwritten)
      : buffer_(rows * cols, unwritten), rows_(rows), cols_(cols) {}

  std::size_t rows() const noexcept { return rows_; }
  std::size_t cols() const noexcept { return cols_; }
  T* data() noexcept { return buffer_.data(); }
  const T* data() const noexcept { return buffer_.data(); }
  T* row(std::size_t r) { return buffer_.data() + r * cols_; }
  const T* row(std::size_t r) const { return buffer_.data() + r * cols_; }
  T& operator()(std::size_t r, std::size_t c) { return row(r)[c]; }
  const T& operator()(std::size_t r, std::size_t c) const { return row(r)[c]; }
  std::span<T> row_span(std::size_t r) { return {row(r), cols_}; }
  std::span<const T> row_span(std::size_t r) const { return {row(r), cols_}; }
  MatrixView<T> view() { return {data(), rows_, cols_}; }
  MatrixView<const T> view() const { return {data(), rows_, cols_}; }

private:
  AlignedBuffer<T> buffer_;
  std::size_t rows_ = 0;
  std::size_t cols_ = 0;
};

} // namespace talaria
