#include "kv/block_pool.hpp"

#include "core/secret.hpp"

namespace talaria::kv {

struct BlockPool::Slab {
  explicit Slab(std::size_t bytes) : memory(bytes, Unwritten{}) {}
  ~Slab() { memory.release_wiped(); } // each of its blocks was, when it came back
  SecretBuffer<u8> memory;
};

Block::~Block() {
  wipe(memory_, pool_->block_bytes());
  pool_->give(memory_);
}

BlockPool::BlockPool(std::size_t block_bytes, std::size_t slab_blocks)
    : block_bytes_(block_bytes), slab_blocks_(slab_blocks) {}
BlockPool::~BlockPool() = default;

BlockPtr BlockPool::take() {
  const std::lock_guard lock(mutex_);
  if (free_.empty()) add_slab();
  auto block = std::make_shared<Block>(shared_from_this(), free_.back());
  free_.pop_back();
  return block;
}

/// Room in the list for every block there is: giving one back allocates nothing.
void BlockPool::add_slab() {
  free_.reserve((slabs_.size() + 1) * slab_blocks_);
  slabs_.push_back(std::make_unique<Slab>(slab_blocks_ * block_bytes_));
  u8* const memory = slabs_.back()->memory.data();
  for (std::size_t i = slab_blocks_; i-- > 0;) free_.push_back(memory + i * block_bytes_);
}

void BlockPool::give(u8* memory) noexcept {
  const std::lock_guard lock(mutex_);
  free_.push_back(memory);
}

} // namespace talaria::kv
