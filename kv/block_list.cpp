#include "kv/block_list.hpp"

#include <algorithm>
#include <utility>

namespace talaria::kv {

LayerView::LayerView(std::shared_ptr<const Layout> layout, std::size_t layer)
    : layout_(std::move(layout)), shape_(layout_->shape(layer)), place_(layout_->place(layer)),
      k_bytes_(shape_.head_dim * bytes_per_number(layout_->format())),
      v_bytes_(shape_.v_head_dim() * bytes_per_number(layout_->format())) {}

void LayerView::write(const BlockList& blocks, u32 position, const float* k, const float* v) const {
  u8* const block = blocks.groups.at(place_.group).at(position).data();
  auto* const k_scales = reinterpret_cast<float*>(block + place_.k_scales);
  auto* const v_scales = reinterpret_cast<float*>(block + place_.v_scales);
  for (std::size_t head = 0; head < shape_.kv_heads; ++head) {
    const std::size_t row = head * kBlockPositions + position % kBlockPositions;
    pack_head(layout_->format(), k + head * shape_.head_dim, shape_.head_dim,
              block + place_.k + row * k_bytes_, k_scales + row);
    pack_head(layout_->format(), v + head * shape_.v_head_dim(), shape_.v_head_dim(),
              block + place_.v + row * v_bytes_, v_scales + row);
  }
}

void LayerView::write_nowhere(const float* k, const float* v, SecretBuffer<float>& scratch) const {
  const std::size_t largest = std::max(shape_.head_dim, shape_.v_head_dim());
  if (scratch.size() < largest + 1) scratch = SecretBuffer<float>(largest + 1);
  float* const scale = scratch.data() + largest;
  for (std::size_t head = 0; head < shape_.kv_heads; ++head)
    for (const auto& [from, dim] : {std::pair{k, shape_.head_dim}, {v, shape_.v_head_dim()}})
      pack_head(layout_->format(), from + head * dim, dim, scratch.data(), scale);
}

std::size_t LayerView::pieces(const BlockList& blocks, std::size_t head, u32 position,
                              std::vector<kernels::KvPiece>& to) const {
  const BlockList::Group& group = blocks.groups.at(place_.group);
  const u32 window = shape_.window;
  const u32 begin = window == 0 || position + 1 < window ? 0 : position + 1 - window;
  for (u32 at = begin; at <= position;) {
    const u32 in_block = at % kBlockPositions;
    const u32 count = std::min(kBlockPositions - in_block, position + 1 - at);
    const u8* const block = group.at(at).data();
    const std::size_t row = head * kBlockPositions + in_block;
    to.push_back({block + place_.k + row * k_bytes_, block + place_.v + row * v_bytes_,
                  reinterpret_cast<const float*>(block + place_.k_scales) + row,
                  reinterpret_cast<const float*>(block + place_.v_scales) + row, count});
    at += count;
  }
  return position + 1 - begin;
}

} // namespace talaria::kv
