#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "core/secret.hpp"
#include "remo/masking_scheme.hpp"

namespace talaria::remo {

/// How the rows of a block lie in memory.
enum class MaskLayout : u8 {
  packed, ///< without gaps; zeros at first
  lines,  ///< each begins on a cache line; their words have to be written
};

/// Mask rows in two parts: u hides the inputs, v opens the outputs. What the bytes mean is the
/// scheme's.
class PairedMaskBlock final : public MaskBlock {
public:
  PairedMaskBlock(const MaskedLinear* owner, std::size_t rows, std::size_t u_row_bytes,
                  std::size_t v_row_bytes, MaskLayout layout);
  ~PairedMaskBlock() override;

  std::size_t rows() const noexcept override { return rows_; }
  void wipe_row(std::size_t row) noexcept override;
  /// For who has hidden the inputs: u is in the cache then, and at the end of the row it would have
  /// to be fetched to be wiped.
  void wipe_u(std::size_t row) noexcept;

  u8* u(std::size_t row) { return u_.data() + row * u_stride_; }
  u8* v(std::size_t row) { return v_.data() + row * v_stride_; }
  std::size_t u_stride() const noexcept { return u_stride_; } ///< bytes from one row to the next
  std::size_t v_stride() const noexcept { return v_stride_; }

  /// All rows of `block`, in order.
  static std::vector<MaskRow> hand_out(std::shared_ptr<PairedMaskBlock> block);
  /// The block of `row`. @throws Error{internal} if it was not made for `owner`, or was used
  /// already.
  static PairedMaskBlock& of(const MaskRow& row, const MaskedLinear* owner);
  /// The same for who is about to hide inputs. @throws Error{internal} as well if u is wiped:
  /// inputs would go out as they are.
  static PairedMaskBlock& of_unused(const MaskRow& row, const MaskedLinear* owner);

private:
  std::size_t rows_;
  std::size_t u_stride_;
  std::size_t v_stride_;
  std::vector<u8> u_wiped_; ///< by row; no bits, since rows are used on several threads
  bool handed_out_ = false; ///< then every row is wiped by the time the block goes
  SecretBuffer<u8> u_;
  SecretBuffer<u8> v_;
};

} // namespace talaria::remo
