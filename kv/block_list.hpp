#pragma once

#include <memory>
#include <vector>

#include "core/integers.hpp"
#include "core/secret.hpp"
#include "kv/block_pool.hpp"
#include "kv/layout.hpp"

namespace talaria::kv {

/// The blocks of one sequence, by group of layers, as they were when the list was made. Whoever
/// holds the list holds the blocks.
struct BlockList {
  struct Group {
    u32 first = 0; ///< number of the block at index 0: those before it were given back
    std::vector<BlockPtr> blocks;

    /// Number of the block behind the last one.
    u32 end() const { return first + static_cast<u32>(blocks.size()); }
    /// The block that holds a position. @throws std::out_of_range
    Block& at(u32 position) const { return *blocks.at(position / kBlockPositions - first); }
  };
  std::vector<Group> groups; ///< by Layout's groups
  BlockPtr state;            ///< of the layers that have one (Layout); null: there are none
};
using BlockListPtr = std::shared_ptr<const BlockList>;

/// Keys and values of one layer in the blocks of sequences.
class LayerView {
public:
  LayerView(std::shared_ptr<const Layout> layout, std::size_t layer);

  const LayerShape& shape() const noexcept { return shape_; }

  /// Stores one position: k and v are [kv_heads, head_dim] (v: value_dim). Nobody reads this
  /// position meanwhile.
  /// @throws std::out_of_range for a position that `blocks` has no block of.
  void write(const BlockList& blocks, u32 position, const float* k, const float* v) const;
  /// The same work, to a place that nobody reads.
  void write_nowhere(const float* k, const float* v, SecretBuffer<float>& scratch) const;

  /// What a query at `position`, which has been written, sees of one head: appends the pieces, in
  /// the order of positions, and returns how many positions they hold.
  std::size_t pieces(const BlockList& blocks, std::size_t head, u32 position,
                     std::vector<kernels::KvPiece>& to) const;

private:
  std::shared_ptr<const Layout> layout_;
  LayerShape shape_;
  Layout::Place place_;
  std::size_t k_bytes_; ///< of one head and position
  std::size_t v_bytes_;
};

/// The state of one layer in the blocks of sequences.
class StateView {
public:
  /// @param layer one whose shape has a state
  StateView(const std::shared_ptr<const Layout>& layout, std::size_t layer)
      : offset_(layout->place(layer).state) {}

  /// [LayerShape::state] numbers, 64-byte aligned. Nobody but the layer touches them; before a
  /// sequence's first row they may be anything.
  float* state(const BlockList& blocks) const {
    return reinterpret_cast<float*>(blocks.state->data() + offset_);
  }

private:
  std::size_t offset_;
};

} // namespace talaria::kv
