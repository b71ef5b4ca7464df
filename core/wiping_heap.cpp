// Replaces the global operator delete of the programs and tests that link talaria::wiping_heap:
// every block is overwritten before malloc gets it back. Prompts and answers pass through strings,
// JSON values, token lists and messages of many libraries; wiping each of those by its type would
// leave out the next one. What does not come from operator new is wiped by its owners: tensors and
// masks by SecretBuffer (core/secret.hpp), C libraries
// through their own allocation hooks (core/wiping_blocks.hpp).
//
// The whole usable size is wiped, since a string or vector may have held more than its last size.
// Sanitizers replace operator delete themselves and keep freed memory to find uses of it.
#include <malloc.h>

#include <cstdlib>
#include <new>

#include "core/secret.hpp"

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

namespace {

void wipe_and_free(void* block) noexcept {
  if (block == nullptr) return;
  talaria::wipe(block, malloc_usable_size(block));
  std::free(block);
}

} // namespace

void operator delete(void* block) noexcept {
  wipe_and_free(block);
}
void operator delete(void* block, std::size_t) noexcept {
  wipe_and_free(block);
}
void operator delete(void* block, std::align_val_t) noexcept {
  wipe_and_free(block);
}
void operator delete(void* block, std::size_t, std::align_val_t) noexcept {
  wipe_and_free(block);
}
void operator delete[](void* block) noexcept {
  wipe_and_free(block);
}
void operator delete[](void* block, std::size_t) noexcept {
  wipe_and_free(block);
}
void operator delete[](void* block, std::align_val_t) noexcept {
  wipe_and_free(block);
}
void operator delete[](void* block, std::size_t, std::align_val_t) noexcept {
  wipe_and_free(block);
}

#endif
