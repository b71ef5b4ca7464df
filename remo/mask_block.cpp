#include "remo/mask_block.hpp"

#include <utility>

namespace talaria::remo {

namespace {

constexpr std::size_t kLine = 64;

SecretBuffer<u8> memory_for(std::size_t bytes, MaskLayout layout) {
  return layout == MaskLayout::lines ? SecretBuffer<u8>(bytes, Unwritten{})
                                     : SecretBuffer<u8>(bytes);
}

} // namespace

PairedMaskBlock::PairedMaskBlock(const MaskedLinear* owner, std::size_t rows,
                                 std::size_t u_row_bytes, std::size_t v_row_bytes,
                                 MaskLayout layout)
    : MaskBlock(owner), rows_(rows),
      u_stride_(layout == MaskLayout::lines ? round_up(u_row_bytes, kLine) : u_row_bytes),
      v_stride_(layout == MaskLayout::lines ? round_up(v_row_bytes, kLine) : v_row_bytes),
      u_wiped_(rows), u_(memory_for(rows * u_stride_, layout)),
      v_(memory_for(rows * v_stride_, layout)) {}

PairedMaskBlock::~PairedMaskBlock() {
  if (!handed_out_) return; // not wiped yet: the buffers do that
  u_.release_wiped();
  v_.release_wiped();
}

void PairedMaskBlock::wipe_row(std::size_t row) noexcept {
  if (!u_wiped_[row]) wipe_u(row);
  wipe(v(row), v_stride_);
}

void PairedMaskBlock::wipe_u(std::size_t row) noexcept {
  wipe(u(row), u_stride_);
  u_wiped_[row] = true;
}

std::vector<MaskRow> PairedMaskBlock::hand_out(std::shared_ptr<PairedMaskBlock> block) {
  std::vector<MaskRow> rows;
  rows.reserve(block->rows());
  for (std::size_t r = 0; r < block->rows(); ++r) rows.emplace_back(block, r);
  block->handed_out_ = true;
  return rows;
}

PairedMaskBlock& PairedMaskBlock::of(const MaskRow& row, const MaskedLinear* owner) {
  if (row.block() == nullptr || row.block()->owner() != owner)
    throw Error(Errc::internal, owner->name() + ": a mask row of another matrix, or an empty one");
  return static_cast<PairedMaskBlock&>(*row.block());
}

PairedMaskBlock& PairedMaskBlock::of_unused(const MaskRow& row, const MaskedLinear* owner) {
  PairedMaskBlock& block = of(row, owner);
  if (block.u_wiped_[row.index()])
    throw Error(Errc::internal, owner->name() + ": a mask row that has hidden inputs before");
  return block;
}

} // namespace talaria::remo
