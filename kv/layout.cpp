#include "kv/layout.hpp"

#include <algorithm>

namespace talaria::kv {

namespace {

constexpr std::size_t kLine = 64;

std::vector<LayerShape> shapes_of(const arch::ModelPlan& plan) {
  std::vector<LayerShape> shapes;
  for (const arch::Layer& layer : plan.layers)
    shapes.push_back({layer.attention.kv_heads, layer.attention.head_dim, layer.attention.window,
                      layer.attention.v_head_dim()});
  return shapes;
}

/// Of the heads of one position, each of `dim`.
std::size_t numbers_of(const LayerShape& shape, u32 dim) {
  return std::size_t{shape.kv_heads} * dim;
}

u32 blocks_for(u32 positions) {
  return (positions + kBlockPositions - 1) / kBlockPositions;
}

} // namespace

Layout::Layout(const arch::ModelPlan& plan, Format format) : Layout(shapes_of(plan), format) {}

Layout::Layout(std::vector<LayerShape> layers, Format format)
    : format_(format), layers_(std::move(layers)) {
  for (const LayerShape& shape : layers_) {
    const auto same = [&](const Group& group) { return group.window == shape.window; };
    auto group = std::find_if(groups_.begin(), groups_.end(), same);
    if (group == groups_.end()) group = groups_.insert(group, {shape.window, 0});
    Place place;
    place.group = static_cast<std::size_t>(group - groups_.begin());
    const auto part = [&group](std::size_t bytes) {
      const std::size_t at = group->bytes;
      group->bytes += round_up(bytes, kLine);
      return at;
    };
    const auto block = [&](u32 dim) {
      return kBlockPositions * numbers_of(shape, dim) * bytes_per_number(format_);
    };
    place.k = part(block(shape.head_dim));
    place.v = part(block(shape.v_head_dim()));
    if (format_ == Format::int8) {
      place.k_scales = part(kBlockPositions * shape.kv_heads * sizeof(float));
      place.v_scales = part(kBlockPositions * shape.kv_heads * sizeof(float));
    }
    places_.push_back(place);
  }
}

u32 Layout::first_block(std::size_t group, u32 position) const {
  const u32 window = this->window(group);
  const u32 first = window == 0 || position + 1 < window ? 0 : position + 1 - window;
  return first / kBlockPositions;
}

std::size_t Layout::bytes_for(u32 positions, u32 chunk, u32 shared) const {
  std::size_t bytes = 0;
  for (const Group& group : groups_) {
    u32 blocks = blocks_for(positions);
    // The window and the chunk behind it may begin anywhere within a block.
    if (group.window != 0)
      blocks = std::min(blocks, blocks_for(group.window - 1) + blocks_for(chunk) + 1);
    else
      blocks -= std::min(blocks, shared / kBlockPositions);
    bytes += blocks * group.bytes;
  }
  return bytes;
}

std::size_t Layout::bytes_per_position() const {
  std::size_t bytes = 0;
  for (const LayerShape& shape : layers_)
    for (const u32 dim : {shape.head_dim, shape.v_head_dim()})
      bytes += numbers_of(shape, dim) * bytes_per_number(format_) +
               (format_ == Format::int8 ? shape.kv_heads * sizeof(float) : 0);
  return bytes;
}

} // namespace talaria::kv
