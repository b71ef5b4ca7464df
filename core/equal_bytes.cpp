#include "core/equal_bytes.hpp"

#include <openssl/crypto.h>

namespace talaria {

bool equal_in_constant_time(std::span<const u8> a, std::span<const u8> b) noexcept {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

} // namespace talaria
