#pragma once

#include <algorithm>
#include <cstddef>

#include "core/integers.hpp"
#include "kernels/packed_weights.hpp"

namespace talaria::kernels::cuda {

/// Rows that are copied, multiplied and copied back as one: the next ones are copied meanwhile.
inline constexpr std::size_t kStepRows = 256;
/// Inputs of a column in device memory are padded to a multiple of this: int8 tensor cores take
/// them 16 bytes at a time, and rows then begin at whole memory sectors.
inline constexpr std::size_t kDepthStep = 64;

/// Limb rows rounded up, so that few different products are met: each has its own algorithm.
/// A multiple of 16.
constexpr std::size_t product_rows(std::size_t limb_rows) {
  if (limb_rows <= 128) return round_up(limb_rows, 16);
  if (limb_rows <= 1024) return round_up(limb_rows, 64);
  return round_up(limb_rows, 256);
}

/// Columns to multiply at a time so that their int32 sums need at most `sums_bytes` (but for 64
/// columns, which are never cut): the columns, padded to whole panels, in equal runs. A multiple of
/// 64.
constexpr std::size_t columns_at_once(std::size_t rows, std::size_t columns,
                                      std::size_t sums_bytes) {
  constexpr std::size_t kPanel = PackedWeights::kPanel;
  const std::size_t panels = (columns + kPanel - 1) / kPanel;
  const std::size_t fit = std::max<std::size_t>(1, sums_bytes / (rows * sizeof(i32) * kPanel));
  const std::size_t runs = (panels + fit - 1) / fit;
  return (panels + runs - 1) / runs * kPanel;
}

} // namespace talaria::kernels::cuda
