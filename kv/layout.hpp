#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "arch/model_plan.hpp"
#include "core/integers.hpp"
#include "kernels/attention.hpp"

namespace talaria::kv {

using Format = kernels::KvFormat;

/// Positions of one block.
inline constexpr u32 kBlockPositions = 64;

/// The keys and values of one layer.
struct LayerShape {
  u32 kv_heads = 0;
  u32 head_dim = 0;
  u32 window = 0;    ///< as arch::Attention::window
  u32 value_dim = 0; ///< of a value; 0: head_dim
  /// Numbers of a state that goes from row to row (arch::DeltaNet); such a layer has no keys and
  /// values. 0: attention.
  std::size_t state = 0;
  /// Keys and values are those of this earlier layer, which has the same window and shape.
  std::optional<std::size_t> same_as = std::nullopt;

  u32 v_head_dim() const { return value_dim == 0 ? head_dim : value_dim; }
};

/// Where keys and values lie. A block holds kBlockPositions positions of all layers that have the
/// same window, which are a group: their blocks come and go together. Within a block each layer has
///   k [kv_heads][positions][head_dim], v the same (with value_dim),
///   with int8 also k_scales [kv_heads][positions] and v_scales the same.
/// Every part begins at a multiple of 64 bytes.
///
/// Layers with a state have their part of one more block, the same for any length: a sequence has
/// one of these, in fp32 whatever the format, which changes with every row. A state cannot be taken
/// back by some positions, nor begun from another sequence's.
class Layout {
public:
  Layout(std::vector<LayerShape> layers, Format format);
  Layout(const arch::ModelPlan& plan, Format format);

  Format format() const noexcept { return format_; }
  std::size_t layers() const noexcept { return layers_.size(); }
  std::size_t groups() const noexcept { return groups_.size(); }
  u32 window(std::size_t group) const { return groups_.at(group).window; }
  std::size_t block_bytes(std::size_t group) const { return groups_.at(group).bytes; }
  /// Of the states of all layers; 0: no layer has one.
  std::size_t state_bytes() const noexcept { return state_bytes_; }
  const LayerShape& shape(std::size_t layer) const { return layers_.at(layer); }

  /// Where a layer is: its group, and offsets in bytes within a block; or its offset in the block
  /// of states.
  struct Place {
    std::size_t group = 0;
    std::size_t k = 0, v = 0, k_scales = 0, v_scales = 0;
    std::size_t state = 0;
  };
  const Place& place(std::size_t layer) const { return places_.at(layer); }

  /// First block, of those of `group`, that a query at `position` or behind it sees.
  u32 first_block(std::size_t group, u32 position) const;

  /// The most bytes that a sequence of `positions` holds at one time, which comes `chunk` rows at a
  /// time at most. Of those the blocks of the first `shared` positions are another's.
  std::size_t bytes_for(u32 positions, u32 chunk, u32 shared = 0) const;

  /// The longest sequence that `bytes` hold, which comes `chunk` rows at a time at most; 0: none.
  u32 positions_for(std::size_t bytes, u32 chunk) const;

  /// Bytes of one position in all layers, states and what blocks are rounded up by left out.
  std::size_t bytes_per_position() const noexcept { return bytes_per_position_; }

private:
  struct Group {
    u32 window = 0;
    std::size_t bytes = 0;
  };
  Place add(const LayerShape& shape);

  Format format_;
  std::vector<LayerShape> layers_;
  std::vector<Group> groups_;
  std::vector<Place> places_;
  std::size_t state_bytes_ = 0;
  std::size_t bytes_per_position_ = 0;
};

} // namespace talaria::kv
