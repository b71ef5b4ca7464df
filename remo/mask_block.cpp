#include "remo/mask_block.hpp"

#include <utility>

namespace talaria::remo {

PairedMaskBlock::PairedMaskBlock(const MaskedLinear* owner, std::size_t rows,
                                 std::size_t u_row_bytes, std::size_t v_row_bytes)
    : owner_(owner), rows_(rows), u_row_bytes_(u_row_bytes), v_row_bytes_(v_row_bytes),
      u_(rows * u_row_bytes), v_(rows * v_row_bytes) {}

void PairedMaskBlock::wipe_row(std::size_t row) noexcept {
  wipe(u(row), u_row_bytes_);
  wipe(v(row), v_row_bytes_);
}

std::vector<MaskRow> PairedMaskBlock::hand_out(std::shared_ptr<PairedMaskBlock> block) {
  std::vector<MaskRow> rows;
  rows.reserve(block->rows());
  for (std::size_t r = 0; r < block->rows(); ++r) rows.emplace_back(block, r);
  return rows;
}

PairedMaskBlock& PairedMaskBlock::of(const MaskRow& row, const MaskedLinear* owner) {
  auto* block = dynamic_cast<PairedMaskBlock*>(row.block());
  if (block == nullptr || block->owner_ != owner)
    throw Error(Errc::internal, owner->name() + ": a mask row of another matrix, or an empty one");
  return *block;
}

} // namespace talaria::remo
