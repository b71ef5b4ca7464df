#include "core/large_memory.hpp"

#include <sanitizer/asan_interface.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace talaria {

namespace {

constexpr std::size_t kPage = std::size_t{4} << 10;
constexpr std::size_t kProcessBytes = std::size_t{512} << 20;

std::size_t alignment_of(std::size_t bytes) {
  return bytes < kHugePage ? kPage : kHugePage;
}

/// Blocks come in eight sizes between a power of two and the next one, so that prompts of nearly
/// the same length use each other's. What exceeds `bytes` is not touched, and so takes no memory
/// but for the rest of a page.
std::size_t size_of_block(std::size_t bytes) {
  const std::size_t step = std::max(std::bit_floor(bytes) / 8, alignment_of(bytes));
  return round_up(bytes, step);
}

/// `size` bytes, a multiple of `alignment`. Not from malloc: flags of a mapping must not stay on
/// memory that malloc gives to somebody else later. The address sanitizer watches only malloc's.
#ifdef __SANITIZE_ADDRESS__
void* map_block(std::size_t size, std::size_t alignment) {
  void* const block = std::aligned_alloc(alignment, size);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

void unmap_block(void* block, std::size_t) noexcept {
  std::free(block);
}
#else
void* map_block(std::size_t size, std::size_t alignment) {
  const std::size_t spare = alignment - kPage; // cut off again before and behind the aligned part
  void* const mapping = ::mmap(nullptr, size + spare, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) throw std::bad_alloc();
  auto* const begin = static_cast<u8*>(mapping);
  const std::size_t past = reinterpret_cast<std::uintptr_t>(begin) % alignment;
  const std::size_t before = past == 0 ? 0 : alignment - past;
  if (before > 0) ::munmap(begin, before);
  u8* const block = begin + before;
  if (spare > before) ::munmap(block + size, spare - before);
  if (alignment == kHugePage) ::madvise(block, size, MADV_HUGEPAGE);
  ::madvise(block, size, MADV_DONTDUMP);
  ::madvise(block, size, MADV_DONTFORK);
  return block;
}

void unmap_block(void* block, std::size_t size) noexcept {
  ::munmap(block, size);
}
#endif

} // namespace

LargeMemory::~LargeMemory() {
  max_bytes_ = 0;
  free_what_is_too_much();
}

LargeMemory& LargeMemory::process() {
  static auto* const store = new LargeMemory(kProcessBytes); // buffers of static objects outlive it
  return *store;
}

void* LargeMemory::take(std::size_t bytes) {
  const std::size_t size = size_of_block(bytes);
  if (void* block = reuse(size)) return block;
  return map_block(size, alignment_of(size)); // not of `bytes`: others take it for more
}

void* LargeMemory::reuse(std::size_t size) {
  const std::lock_guard lock(mutex_);
  const auto found = kept_.find(size);
  if (found == kept_.end() || found->second.empty()) return nullptr;
  void* const block = found->second.back().memory;
  found->second.pop_back();
  bytes_ -= size;
  ASAN_UNPOISON_MEMORY_REGION(block, size);
  return block;
}

void LargeMemory::give(void* block, std::size_t bytes) noexcept {
  if (!keep(block, size_of_block(bytes))) unmap_block(block, size_of_block(bytes));
  free_what_is_too_much();
}

/// False if it is larger than everything that may be kept, or there is no memory for the list.
bool LargeMemory::keep(void* block, std::size_t size) noexcept try {
  const std::lock_guard lock(mutex_);
  if (size > max_bytes_) return false;
  kept_[size].push_back({block, given_++});
  bytes_ += size;
  ASAN_POISON_MEMORY_REGION(block, size); // who still uses it is found out
  return true;
} catch (const std::bad_alloc&) {
  return false;
}

LargeMemory::Sized LargeMemory::oldest_beyond_limit() noexcept {
  const std::lock_guard lock(mutex_);
  if (bytes_ <= max_bytes_) return {nullptr, 0};
  auto oldest = kept_.end();
  for (auto it = kept_.begin(); it != kept_.end(); ++it)
    if (!it->second.empty() &&
        (oldest == kept_.end() || it->second.front().given < oldest->second.front().given))
      oldest = it;
  auto& [size, blocks] = *oldest;
  void* const block = blocks.front().memory;
  blocks.erase(blocks.begin());
  bytes_ -= size;
  ASAN_UNPOISON_MEMORY_REGION(block, size);
  return {block, size};
}

void LargeMemory::free_what_is_too_much() noexcept {
  // Takes long: outside the lock.
  for (Sized old = oldest_beyond_limit(); old.memory != nullptr; old = oldest_beyond_limit())
    unmap_block(old.memory, old.size);
}

std::size_t LargeMemory::kept_bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

LargeMemory::Allowance::Allowance(LargeMemory& store, std::size_t bytes)
    : store_(store), bytes_(bytes) {
  const std::lock_guard lock(store_.mutex_);
  store_.max_bytes_ += bytes_;
}

LargeMemory::Allowance::~Allowance() {
  {
    const std::lock_guard lock(store_.mutex_);
    store_.max_bytes_ -= bytes_;
  }
  store_.free_what_is_too_much();
}

} // namespace talaria
