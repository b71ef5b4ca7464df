#include "kv/layout.hpp"

#include <algorithm>
#include <limits>

namespace talaria::kv {

namespace {

constexpr std::size_t kLine = 64;

std::vector<LayerShape> shapes_of(const arch::ModelPlan& plan) {
  std::vector<LayerShape> shapes;
  for (const arch::Layer& layer : plan.layers) {
    LayerShape& shape = shapes.emplace_back();
    if (layer.delta_net) {
      shape.state = layer.delta_net->state_numbers();
      continue;
    }
    const arch::Attention& attention = layer.attention;
    shape = {attention.kv_heads,   attention.head_dim, attention.window, attention.v_head_dim(), 0,
             attention.reads_layer};
  }
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
  for (const LayerShape& shape : layers_)
    places_.push_back(shape.same_as ? places_.at(*shape.same_as) : add(shape));
}

Layout::Place Layout::add(const LayerShape& shape) {
  Place place;
  if (shape.state != 0) {
    place.state = state_bytes_;
    state_bytes_ += round_up(shape.state * sizeof(float), kLine);
    return place;
  }
  const auto same = [&](const Group& group) { return group.window == shape.window; };
  auto group = std::find_if(groups_.begin(), groups_.end(), same);
  if (group == groups_.end()) group = groups_.insert(group, {shape.window, 0});
  place.group = static_cast<std::size_t>(group - groups_.begin());
  const auto part = [&](std::size_t bytes_of_position) {
    const std::size_t at = group->bytes;
    group->bytes += round_up(kBlockPositions * bytes_of_position, kLine);
    bytes_per_position_ += bytes_of_position;
    return at;
  };
  place.k = part(numbers_of(shape, shape.head_dim) * bytes_per_number(format_));
  place.v = part(numbers_of(shape, shape.v_head_dim()) * bytes_per_number(format_));
  if (format_ == Format::int8) {
    place.k_scales = part(shape.kv_heads * sizeof(float));
    place.v_scales = part(shape.kv_heads * sizeof(float));
  }
  return place;
}

u32 Layout::first_block(std::size_t group, u32 position) const {
  const u32 window = this->window(group);
  const u32 first = window == 0 || position + 1 < window ? 0 : position + 1 - window;
  return first / kBlockPositions;
}

std::size_t Layout::bytes_for(u32 positions, u32 chunk, u32 shared) const {
  std::size_t bytes = positions == 0 ? 0 : state_bytes_;
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

u32 Layout::positions_for(std::size_t bytes, u32 chunk) const {
  u32 fitting = 0;
  u32 too_many = std::numeric_limits<u32>::max() / 2;
  while (too_many - fitting > 1) {
    const u32 middle = fitting + (too_many - fitting) / 2;
    (bytes_for(middle, chunk) <= bytes ? fitting : too_many) = middle;
  }
  return fitting;
}

} // namespace talaria::kv
