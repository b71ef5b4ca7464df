#include "core/openssl_memory.hpp"

#include <malloc.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "core/secret.hpp"

namespace talaria {

namespace {

void* take(std::size_t bytes, const char*, int) {
  return std::malloc(bytes);
}

void give(void* block, const char*, int) {
  if (block == nullptr) return;
  wipe(block, malloc_usable_size(block));
  std::free(block);
}

/// Not realloc(): where it moves a block, it leaves the old one as it was.
void* resize(void* block, std::size_t bytes, const char* file, int line) {
  if (block == nullptr) return take(bytes, file, line);
  if (bytes == 0) {
    give(block, file, line);
    return nullptr;
  }
  void* const larger = std::malloc(bytes);
  if (larger == nullptr) return nullptr;
  std::memcpy(larger, block, std::min(bytes, malloc_usable_size(block)));
  give(block, file, line);
  return larger;
}

} // namespace

bool wipe_what_openssl_frees() noexcept {
#ifdef __SANITIZE_ADDRESS__
  return false; // usable sizes are not what the sanitizer lets be written
#else
  return CRYPTO_set_mem_functions(take, resize, give) == 1;
#endif
}

} // namespace talaria
