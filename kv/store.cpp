#include "kv/store.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/error.hpp"

namespace talaria::kv {

namespace {

constexpr std::size_t kMaxSlabBlocks = 16;

u32 blocks_before(u32 position) {
  return (position + kBlockPositions - 1) / kBlockPositions;
}

/// Locked memory is there as soon as it is asked for: an eighth of the budget at a time at most.
std::shared_ptr<BlockPool> make_pool(std::size_t bytes, std::size_t budget) {
  const std::size_t at_a_time = std::clamp<std::size_t>(budget / bytes / 8, 1, kMaxSlabBlocks);
  return std::make_shared<BlockPool>(bytes, at_a_time);
}

} // namespace

/// Keeps committed_ right while an entry changes, whatever ends the change.
class Store::Change {
public:
  Change(Store& store, Entry& entry)
      : store_(store), entry_(entry), counted_(entry.counted()), held_(entry.held) {}
  ~Change() {
    store_.committed_ += entry_.counted() - counted_;
    store_.held_ += entry_.held - held_;
    store_.publish();
  }
  Change(const Change&) = delete;
  Change& operator=(const Change&) = delete;

private:
  Store& store_;
  Entry& entry_;
  std::size_t counted_;
  std::size_t held_;
};

Store::Store(std::shared_ptr<const Layout> layout, std::size_t budget_bytes)
    : layout_(std::move(layout)), budget_(budget_bytes) {
  for (std::size_t group = 0; group < layout_->groups(); ++group)
    pools_.push_back(make_pool(layout_->block_bytes(group), budget_));
  if (layout_->state_bytes() != 0) states_ = make_pool(layout_->state_bytes(), budget_);
}

bool Store::reserve(SequenceId sequence, std::size_t bytes) {
  const auto found = entries_.find(sequence);
  const std::size_t held = found == entries_.end() ? 0 : found->second.held;
  const std::size_t counted = found == entries_.end() ? 0 : found->second.counted();
  if (!fits(counted, std::max(bytes, held))) return false;
  Entry& entry = this->entry(sequence);
  const Change change(*this, entry);
  entry.claim = bytes;
  return true;
}

BlockListPtr Store::extend(SequenceId sequence, u32 start, u32 count) {
  const u32 end = start + count;
  Entry& entry = this->entry(sequence);
  const std::size_t held = held_after(entry, start, end);
  if (!fits(entry.counted(), std::max(entry.claim, held))) return nullptr;
  const Change change(*this, entry);
  take_state(entry, start);
  for (std::size_t group = 0; group < entry.tables.size(); ++group) {
    Table& table = entry.tables[group];
    const u32 first = layout_->first_block(group, start);
    if (first < table.first)
      throw Error(Errc::internal, "keys and values behind a window were given back already");
    while (table.first < first && !table.blocks.empty()) {
      give_back(entry, group, table.blocks.front());
      table.blocks.erase(table.blocks.begin());
      ++table.first;
    }
    table.first = first;
    own_blocks(entry, group, start / kBlockPositions);
    add_blocks(entry, group, blocks_before(end));
  }
  if (!entry.list) {
    auto list = std::make_shared<BlockList>();
    list->state = entry.state;
    for (const Table& table : entry.tables) {
      BlockList::Group& group = list->groups.emplace_back();
      group.first = table.first;
      for (const SharedPtr& shared : table.blocks) group.blocks.push_back(shared->block);
    }
    entry.list = std::move(list);
  }
  return entry.list;
}

void Store::truncate(SequenceId sequence, u32 length) {
  const auto found = entries_.find(sequence);
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  if (entry.state && length != 0)
    throw Error(Errc::internal, "a state cannot go back to an earlier position");
  const Change change(*this, entry);
  if (entry.state) {
    entry.state = nullptr;
    entry.list = nullptr;
    entry.held -= layout_->state_bytes();
  }
  for (std::size_t group = 0; group < entry.tables.size(); ++group) {
    Table& table = entry.tables[group];
    while (!table.blocks.empty() && table.end() > blocks_before(length)) {
      give_back(entry, group, table.blocks.back());
      table.blocks.pop_back();
    }
    if (length == 0) table.first = 0;
  }
}

u32 Store::share(SequenceId from, SequenceId to, u32 length) {
  const auto found = entries_.find(from);
  const u32 blocks = length / kBlockPositions;
  if (found == entries_.end() || blocks == 0 || states_) return 0;
  Entry& giver = found->second;
  for (std::size_t group = 0; group < giver.tables.size(); ++group) {
    const Table& table = giver.tables[group];
    const u32 first = layout_->first_block(group, blocks * kBlockPositions);
    if (table.first > first || table.end() < blocks) return 0;
  }
  Entry& taker = entry(to);
  const Change given(*this, giver);
  const Change taken(*this, taker);
  for (std::size_t group = 0; group < giver.tables.size(); ++group) {
    const Table& table = giver.tables[group];
    const u32 first = layout_->first_block(group, blocks * kBlockPositions);
    taker.tables[group].first = first;
    for (u32 block = first; block < blocks; ++block) {
      const SharedPtr& shared = table.blocks[block - table.first];
      if (!std::exchange(shared->was_shared, true)) {
        const std::size_t bytes = layout_->block_bytes(group);
        giver.held -= bytes;
        giver.claim -= std::min(giver.claim, bytes);
        shared_ += bytes;
        committed_ += bytes;
      }
      taker.tables[group].blocks.push_back(shared);
      ++shared->tables;
    }
  }
  taker.list = nullptr;
  return blocks * kBlockPositions;
}

void Store::release(SequenceId sequence) {
  const auto found = entries_.find(sequence);
  if (found == entries_.end()) return;
  truncate(sequence, 0);
  committed_ -= found->second.counted();
  entries_.erase(found);
  publish();
}

Store::Entry& Store::entry(SequenceId sequence) {
  return entries_.try_emplace(sequence, layout_->groups()).first->second;
}

bool Store::fits(std::size_t counted_before, std::size_t counted_after) const {
  return counted_after <= counted_before || committed_ - counted_before + counted_after <= budget_;
}

/// Entry::held once there are blocks for the positions [start, end).
std::size_t Store::held_after(const Entry& entry, u32 start, u32 end) const {
  std::size_t held = entry.held + (entry.state ? 0 : layout_->state_bytes());
  for (std::size_t group = 0; group < entry.tables.size(); ++group) {
    const Table& table = entry.tables[group];
    const std::size_t bytes = layout_->block_bytes(group);
    const u32 first = layout_->first_block(group, start);
    for (std::size_t i = 0; i < table.blocks.size(); ++i) {
      const Shared& shared = *table.blocks[i];
      const u32 block = table.first + static_cast<u32>(i);
      if (block < first && !shared.was_shared) held -= bytes;
      if (block >= start / kBlockPositions && shared.tables > 1) held += bytes;
    }
    const u32 from = std::max(table.end(), first);
    if (blocks_before(end) > from) held += (blocks_before(end) - from) * bytes;
  }
  return held;
}

void Store::take_state(Entry& entry, u32 start) {
  if (!states_ || entry.state) return;
  if (start != 0) throw Error(Errc::internal, "a sequence without a state does not begin at 0");
  entry.state = states_->take();
  entry.held += layout_->state_bytes();
  entry.list = nullptr;
}

void Store::add_blocks(Entry& entry, std::size_t group, u32 end) {
  Table& table = entry.tables[group];
  while (table.end() < end) {
    table.blocks.push_back(std::make_shared<Shared>(Shared{pools_[group]->take()}));
    entry.held += layout_->block_bytes(group);
    entry.list = nullptr;
  }
}

/// Copies the blocks from number `first` on that are in other tables as well.
void Store::own_blocks(Entry& entry, std::size_t group, u32 first) {
  Table& table = entry.tables[group];
  for (u32 block = std::max(first, table.first); block < table.end(); ++block) {
    SharedPtr& shared = table.blocks[block - table.first];
    if (shared->tables == 1) continue;
    auto copy = std::make_shared<Shared>(Shared{pools_[group]->take()});
    std::memcpy(copy->block->data(), shared->block->data(), layout_->block_bytes(group));
    give_back(entry, group, shared);
    shared = std::move(copy);
    entry.held += layout_->block_bytes(group);
  }
}

/// The block leaves one table.
void Store::give_back(Entry& entry, std::size_t group, const SharedPtr& block) {
  entry.list = nullptr;
  const std::size_t bytes = layout_->block_bytes(group);
  if (!block->was_shared) {
    entry.held -= bytes;
  } else if (--block->tables == 0) {
    shared_ -= bytes;
    committed_ -= bytes;
  }
}

void Store::publish() {
  used_ = held_ + shared_;
  reserved_ = committed_ - held_ - shared_;
}

} // namespace talaria::kv
