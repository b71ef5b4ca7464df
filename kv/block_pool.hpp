#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "core/integers.hpp"

namespace talaria::kv {

class BlockPool;

/// Memory of one block; any number of readers and the tables of sequences share it. Wiped when the
/// last of them lets go, and then ready for another sequence.
class Block {
public:
  /// For BlockPool::take().
  Block(std::shared_ptr<BlockPool> pool, u8* memory) : pool_(std::move(pool)), memory_(memory) {}
  ~Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  u8* data() noexcept { return memory_; }
  const u8* data() const noexcept { return memory_; }

private:
  std::shared_ptr<BlockPool> pool_;
  u8* memory_;
};
using BlockPtr = std::shared_ptr<Block>;

/// Blocks of one size, cut from slabs that are kept until the pool goes: a server that has once had
/// so many does not ask the system for its pages again. Thread-safe; always held by a shared_ptr.
class BlockPool : public std::enable_shared_from_this<BlockPool> {
public:
  /// @param slab_blocks  that are asked for at a time, >= 1
  BlockPool(std::size_t block_bytes, std::size_t slab_blocks);
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  /// A block of zeros, or of anything where it was never used. @throws std::bad_alloc
  BlockPtr take();
  std::size_t block_bytes() const noexcept { return block_bytes_; }

private:
  friend class Block;
  struct Slab;
  void add_slab();
  void give(u8* memory) noexcept;

  std::size_t block_bytes_;
  std::size_t slab_blocks_;
  std::mutex mutex_; ///< of the rest
  std::vector<std::unique_ptr<Slab>> slabs_;
  std::vector<u8*> free_;
};

} // namespace talaria::kv
