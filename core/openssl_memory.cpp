#include "core/openssl_memory.hpp"

#include <openssl/crypto.h>

#include "core/wiping_blocks.hpp"

namespace talaria {

bool wipe_what_openssl_frees() noexcept {
#ifdef __SANITIZE_ADDRESS__
  return false;
#else
  return CRYPTO_set_mem_functions(
             [](std::size_t bytes, const char*, int) { return take_block(bytes); },
             [](void* block, std::size_t bytes, const char*, int) {
               return resize_block(block, bytes);
             },
             [](void* block, const char*, int) { give_block(block); }) == 1;
#endif
}

} // namespace talaria
