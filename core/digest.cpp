#include "core/digest.hpp"

#include <openssl/evp.h>

#include "core/error.hpp"

namespace talaria {

struct Sha256::Context {
  EVP_MD_CTX* md = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(md); }
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  if (EVP_DigestInit_ex(context_->md, EVP_sha256(), nullptr) != 1)
    throw Error(Errc::internal, "OpenSSL offers no SHA-256");
}
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::update(std::span<const u8> data) {
  EVP_DigestUpdate(context_->md, data.data(), data.size());
}

Sha256Digest Sha256::finish() {
  Sha256Digest out{};
  EVP_DigestFinal_ex(context_->md, out.data(), nullptr);
  return out;
}

Sha256Digest sha256(std::span<const u8> data) {
  Sha256 hash;
  hash.update(data);
  return hash.finish();
}

std::vector<u8> shake256(std::span<const u8> input, std::size_t bytes) {
  std::vector<u8> out(bytes);
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> md(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  if (!md || EVP_DigestInit_ex(md.get(), EVP_shake256(), nullptr) != 1 ||
      EVP_DigestUpdate(md.get(), input.data(), input.size()) != 1 ||
      EVP_DigestFinalXOF(md.get(), out.data(), bytes) != 1)
    throw Error(Errc::internal, "OpenSSL offers no SHAKE-256");
  return out;
}

std::string to_hex(std::span<const u8> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const u8 b : bytes) {
    out.push_back(kDigits[b >> 4]);
    out.push_back(kDigits[b & 15]);
  }
  return out;
}

} // namespace talaria
