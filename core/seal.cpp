#include "core/seal.hpp"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <algorithm>

#include "core/error.hpp"
#include "core/kernel_random.hpp"
#include "core/secret.hpp"

namespace talaria {
namespace {

constexpr std::size_t kNonceBytes = 12;
constexpr std::size_t kTagBytes = 16;

using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

OSSL_PARAM octets(const char* name, std::span<const u8> bytes) {
  return OSSL_PARAM_construct_octet_string(name, const_cast<u8*>(bytes.data()), bytes.size());
}

[[noreturn]] void seal_failed() {
  throw Error(Errc::internal, "the cipher for sealed files cannot be used");
}

/// Feeds what is authenticated, then what is ciphered. A part of nothing is none.
bool feed(EVP_CIPHER_CTX* context, u8* out, std::span<const u8> in) {
  constexpr std::size_t kMost = std::size_t{1} << 30; // lengths are ints
  int done = 0;
  while (!in.empty()) {
    const auto part = in.first(std::min(in.size(), kMost));
    if (EVP_CipherUpdate(context, out, &done, part.data(), static_cast<int>(part.size())) != 1)
      return false;
    if (out != nullptr) out += part.size();
    in = in.subspan(part.size());
  }
  return true;
}

} // namespace

SealKey derive_key(std::span<const u8> secret, std::span<const u8> salt, std::span<const u8> info) {
  const std::unique_ptr<EVP_KDF, decltype(&EVP_KDF_free)> kdf(
      EVP_KDF_fetch(nullptr, "HKDF", nullptr), &EVP_KDF_free);
  const std::unique_ptr<EVP_KDF_CTX, decltype(&EVP_KDF_CTX_free)> context(
      EVP_KDF_CTX_new(kdf.get()), &EVP_KDF_CTX_free);
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
      octets(OSSL_KDF_PARAM_KEY, secret), octets(OSSL_KDF_PARAM_SALT, salt),
      octets(OSSL_KDF_PARAM_INFO, info), OSSL_PARAM_construct_end()};
  SealKey key{};
  if (!context || EVP_KDF_derive(context.get(), key.data(), key.size(), parameters) != 1)
    throw Error(Errc::internal, "a key for sealed files cannot be derived");
  return key;
}

SealKey derive_key(std::span<const u8> secret, std::span<const u8> salt, std::string_view info) {
  return derive_key(secret, salt,
                    std::span<const u8>(reinterpret_cast<const u8*>(info.data()), info.size()));
}

struct Seal::Key {
  SealKey bytes;
  ~Key() { wipe(bytes.data(), bytes.size()); }
};

Seal::Seal(const SealKey& key) : key_(new Key{key}) {}
Seal::Seal(Seal&&) noexcept = default;
Seal& Seal::operator=(Seal&&) noexcept = default;
Seal::~Seal() = default;

void Seal::close(std::span<const u8> about, std::span<const u8> plain, std::span<u8> out) const {
  const std::span<u8> nonce = out.first(kNonceBytes);
  u8* const cipher = out.data() + kNonceBytes;
  u8* const tag = cipher + plain.size();
  kernel_random(nonce);
  const CipherContext context(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
  int done = 0;
  if (out.size() != plain.size() + kOverhead || !context ||
      EVP_EncryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, key_->bytes.data(),
                         nonce.data()) != 1 ||
      !feed(context.get(), nullptr, about) || !feed(context.get(), cipher, plain) ||
      EVP_EncryptFinal_ex(context.get(), tag, &done) != 1 ||
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, kTagBytes, tag) != 1)
    seal_failed();
}

bool Seal::open(std::span<const u8> about, std::span<const u8> sealed, std::span<u8> out) const {
  if (sealed.size() < kOverhead || out.size() != sealed.size() - kOverhead) return false;
  const CipherContext context(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
  std::array<u8, kTagBytes> tag{};
  std::ranges::copy(sealed.last(kTagBytes), tag.begin());
  u8 nothing[kTagBytes]; // where the end of nothing is written
  int done = 0;
  if (!context || EVP_DecryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, key_->bytes.data(),
                                     sealed.data()) != 1)
    seal_failed();
  return feed(context.get(), nullptr, about) &&
         feed(context.get(), out.data(), sealed.subspan(kNonceBytes, out.size())) &&
         EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, kTagBytes, tag.data()) == 1 &&
         EVP_DecryptFinal_ex(context.get(), nothing, &done) == 1;
}

} // namespace talaria
