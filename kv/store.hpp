#pragma once

#include <atomic>
#include <cstddef>
#include <map>
#include <memory>
#include <vector>

#include "core/integers.hpp"
#include "kv/block_list.hpp"
#include "kv/layout.hpp"

namespace talaria::kv {

using SequenceId = u64;

/// Bytes of keys and values, and whom they are kept for.
struct Usage {
  std::size_t budget = 0;
  std::size_t used = 0;     ///< blocks in the tables of sequences
  std::size_t reserved = 0; ///< what sequences may still take without asking
};

/// Owns the keys and values of all layers: which sequence has which blocks, and how many bytes that
/// takes of a budget. A block in the tables of several sequences counts once. One thread calls it
/// (the scheduler); usage() may be read by anyone. The lists that it hands out keep their blocks,
/// beyond the budget if need be, until the last reader lets go.
class Store {
  /// A block and how many tables it is in.
  struct Shared {
    BlockPtr block;
    u32 tables = 1;
    bool was_shared = false; ///< counted in shared_, and by no sequence
  };
  using SharedPtr = std::shared_ptr<Shared>;
  /// The blocks of one sequence and group.
  struct Table {
    u32 first = 0; ///< number of the block at index 0; those before it were given back
    std::vector<SharedPtr> blocks;
    u32 end() const { return first + static_cast<u32>(blocks.size()); }
  };

public:
  Store(std::shared_ptr<const Layout> layout, std::size_t budget_bytes);

  const Layout& layout() const noexcept { return *layout_; }
  std::shared_ptr<const Layout> layout_ptr() const noexcept { return layout_; }

  /// Lets `sequence`, which need not be known yet, hold `bytes` (Layout::bytes_for) whatever the
  /// others take. Returns false, and changes nothing, if the budget does not allow it.
  bool reserve(SequenceId sequence, std::size_t bytes);

  /// Blocks for the positions [start, start + count) of `sequence`, count >= 1, and for whatever
  /// their queries see before them. Blocks that no query from `start` on sees are given back; a
  /// block that others share is copied before it is written. Returns null, and changes nothing, if
  /// the budget does not allow it. The state, if layers have one, is taken with the first position.
  /// @throws Error{internal} if a window needs positions whose blocks were given back, or a
  /// sequence that has no state does not begin at 0.
  BlockListPtr extend(SequenceId sequence, u32 start, u32 count);

  /// Gives back all blocks behind those of the first `length` positions. What was reserved stays.
  /// No row of the sequence from `length` on is under way. @throws Error{internal} if there is a
  /// state and `length` is not 0: it cannot go back, the sequence has to begin again.
  void truncate(SequenceId sequence, u32 length);

  /// Lets `to`, which holds nothing, begin with the blocks that hold the first positions of `from`,
  /// at most `length` of them and whole blocks only. Returns how many positions it has then: 0 if
  /// there is no such block, a window has passed them already, or layers have a state, which is not
  /// what it was there.
  u32 share(SequenceId from, SequenceId to, u32 length);

  /// The sequence is over: gives back everything.
  void release(SequenceId sequence);

  std::size_t sequences() const noexcept { return entries_.size(); }
  Usage usage() const noexcept { return {budget_, used_, reserved_}; }

private:
  struct Entry {
    explicit Entry(std::size_t groups) : tables(groups) {}
    std::size_t claim = 0; ///< bytes reserved in all
    std::size_t held = 0;  ///< bytes of blocks that were never in another table
    std::vector<Table> tables;
    BlockPtr state;    ///< counted in held
    BlockListPtr list; ///< of the tables; null: they changed

    std::size_t counted() const { return claim > held ? claim : held; }
  };
  class Change;

  Entry& entry(SequenceId sequence);
  std::size_t held_after(const Entry& entry, u32 start, u32 end) const;
  bool fits(std::size_t counted_before, std::size_t counted_after) const;
  void take_state(Entry& entry, u32 start);
  void add_blocks(Entry& entry, std::size_t group, u32 end);
  void own_blocks(Entry& entry, std::size_t group, u32 first);
  void give_back(Entry& entry, std::size_t group, const SharedPtr& block);
  void publish();

  std::shared_ptr<const Layout> layout_;
  std::size_t budget_;
  std::vector<std::shared_ptr<BlockPool>> pools_; ///< by group
  std::shared_ptr<BlockPool> states_;             ///< null: no layer has a state
  std::map<SequenceId, Entry> entries_;
  std::size_t committed_ = 0; ///< Entry::counted() of all, and shared_
  std::size_t held_ = 0;      ///< Entry::held of all
  std::size_t shared_ = 0;    ///< bytes of blocks that are or were in several tables, each once
  std::atomic<std::size_t> used_{0};
  std::atomic<std::size_t> reserved_{0};
};

} // namespace talaria::kv
