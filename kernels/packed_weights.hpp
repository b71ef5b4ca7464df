#pragma once

#include <cstddef>

#include "core/integers.hpp"
#include "core/matrix.hpp"

namespace talaria::kernels {

/// int8 weights W [d_in, d_out] in the one layout that every SIMD target reads:
///   [panel of 64 columns][group of 4 inputs][64 columns][4 inputs], zero padded
/// so that a VNNI kernel streams a panel front to back. Entries are in [-128, 127].
class PackedWeights {
public:
  static constexpr std::size_t kPanel = 64;

  PackedWeights() = default;
  PackedWeights(std::size_t d_in, std::size_t d_out)
      : d_in_(d_in), d_out_(d_out), groups_((d_in + 3) / 4),
        data_(round_up(d_out, kPanel) / kPanel * groups_ * kPanel * 4) {}

  std::size_t d_in() const noexcept { return d_in_; }
  std::size_t d_out() const noexcept { return d_out_; }
  std::size_t groups() const noexcept { return groups_; } ///< ceil(d_in / 4)
  std::size_t panels() const noexcept { return (d_out_ + kPanel - 1) / kPanel; }
  std::size_t bytes() const noexcept { return data_.size(); }

  i8* panel(std::size_t p) { return data_.data() + p * groups_ * kPanel * 4; }
  // Vector targets may not emit a copy of their own (tests/kernels/check_isa_isolation.cmake).
  [[gnu::always_inline]] const i8* panel(std::size_t p) const {
    return data_.data() + p * groups_ * kPanel * 4;
  }
  i8& at(std::size_t i, std::size_t j) { return data_[offset(i, j)]; }
  i8 at(std::size_t i, std::size_t j) const { return data_[offset(i, j)]; }

private:
  std::size_t offset(std::size_t i, std::size_t j) const {
    return ((j / kPanel * groups_ + i / 4) * kPanel + j % kPanel) * 4 + i % 4;
  }
  std::size_t d_in_ = 0;
  std::size_t d_out_ = 0;
  std::size_t groups_ = 0;
  AlignedBuffer<i8> data_;
};

} // namespace talaria::kernels
