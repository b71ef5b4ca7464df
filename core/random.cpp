#include "core/random.hpp"

#include <openssl/evp.h>
#include <strings.h>

#include <algorithm>
#include <cstring>

#include "core/digest.hpp"
#include "core/error.hpp"
#include "core/kernel_random.hpp"
#include "core/secret.hpp"

namespace talaria {

void wipe(void* data, std::size_t bytes) noexcept {
  if (bytes != 0) explicit_bzero(data, bytes); // an empty matrix has no address
}

u64 Rng::below(u64 bound) {
  const u64 limit =
      ~u64{0} - (~u64{0} % bound + 1) % bound; // last value of a whole number of cycles
  for (;;) {
    u64 x = 0;
    fill({reinterpret_cast<u8*>(&x), sizeof x});
    if (x <= limit) return x % bound;
  }
}

struct ChaChaRng::Context {
  EVP_CIPHER_CTX* cipher = EVP_CIPHER_CTX_new();
  ~Context() { EVP_CIPHER_CTX_free(cipher); } // cleanses the key schedule
};

ChaChaRng::ChaChaRng(std::span<const u8, 32> key, u64 stream)
    : context_(std::make_unique<Context>()) {
  // OpenSSL's 16-byte IV: 32-bit little-endian block counter, then the 96-bit nonce.
  u8 iv[16] = {};
  std::memcpy(iv + 4, &stream, sizeof stream);
  if (context_->cipher == nullptr ||
      EVP_EncryptInit_ex(context_->cipher, EVP_chacha20(), nullptr, key.data(), iv) != 1)
    throw Error(Errc::internal, "OpenSSL offers no ChaCha20");
}

ChaChaRng::ChaChaRng(ChaChaRng&&) noexcept = default;
ChaChaRng& ChaChaRng::operator=(ChaChaRng&&) noexcept = default;
ChaChaRng::~ChaChaRng() = default;

ChaChaRng ChaChaRng::from_system() {
  SecretBuffer<u8> key(32);
  kernel_random(key.span());
  ChaChaRng rng(std::span<const u8, 32>(key.data(), 32), 0);
  rng.epoch_ = process_epoch();
  return rng;
}

void ChaChaRng::fill(std::span<u8> out) {
  // A child of fork() has its parent's key, and must not draw what the parent draws.
  if (epoch_ != 0 && epoch_ != process_epoch()) *this = from_system();
  std::fill(out.begin(), out.end(), u8{0});
  constexpr std::size_t kChunk = std::size_t{1} << 24; // OpenSSL takes an int
  for (std::size_t at = 0; at < out.size(); at += kChunk) {
    int written = 0;
    const int n = static_cast<int>(std::min(kChunk, out.size() - at));
    if (EVP_EncryptUpdate(context_->cipher, out.data() + at, &written, out.data() + at, n) != 1 ||
        written != n)
      throw Error(Errc::internal, "ChaCha20 failed");
  }
}

ChaChaRng seeded_rng(u64 seed, u64 stream) {
  u8 bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<u8>(seed >> (8 * i));
  const auto key = sha256(bytes);
  return ChaChaRng(key, stream);
}

} // namespace talaria
