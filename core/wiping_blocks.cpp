#include "core/wiping_blocks.hpp"

#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "core/secret.hpp"

namespace talaria {

void* take_block(std::size_t bytes) noexcept {
  return std::malloc(bytes);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)

void* resize_block(void* block, std::size_t bytes) noexcept {
  return std::realloc(block, bytes);
}

void give_block(void* block) noexcept {
  std::free(block);
}

#else

/// Not realloc(): where it moves a block, it leaves the old one as it was.
void* resize_block(void* block, std::size_t bytes) noexcept {
  if (block == nullptr) return take_block(bytes);
  if (bytes == 0) {
    give_block(block);
    return nullptr;
  }
  void* const moved = std::malloc(bytes);
  if (moved == nullptr) return nullptr;
  std::memcpy(moved, block, std::min(bytes, malloc_usable_size(block)));
  give_block(block);
  return moved;
}

void give_block(void* block) noexcept {
  if (block == nullptr) return;
  wipe(block, malloc_usable_size(block));
  std::free(block);
}

#endif

} // namespace talaria
