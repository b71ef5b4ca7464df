#include "attest/simulated/signing_key.hpp"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "core/error.hpp"

namespace talaria::attest::simulated {
namespace {

void require_done(bool done, const char* what) {
  if (!done) throw Error(Errc::internal, std::string("OpenSSL cannot ") + what);
}

std::vector<u8> fixed_size(const BIGNUM* number, std::size_t bytes) {
  std::vector<u8> value(bytes);
  require_done(BN_bn2binpad(number, value.data(), static_cast<int>(bytes)) >= 0, "write a number");
  return value;
}

} // namespace

SigningKey::SigningKey(std::shared_ptr<evp_pkey_st> key) : key_(std::move(key)) {}

SigningKey SigningKey::generate(Kind kind) {
  constexpr std::size_t kRsaBits = 4096;
  EVP_PKEY* key = kind == Kind::rsa4096 ? EVP_RSA_gen(kRsaBits)
                                        : EVP_EC_gen(kind == Kind::p256 ? "P-256" : "P-384");
  require_done(key != nullptr, "generate a key");
  return SigningKey({key, EVP_PKEY_free});
}

SigningKey SigningKey::from_pem(const std::string& pem) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> in(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  EVP_PKEY* key = in ? PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr) : nullptr;
  if (!key) throw Error(Errc::config, "not a private key in PEM");
  return SigningKey({key, EVP_PKEY_free});
}

std::string SigningKey::pem() const {
  const std::unique_ptr<BIO, decltype(&BIO_free)> out(BIO_new(BIO_s_mem()), BIO_free);
  require_done(out && PEM_write_bio_PKCS8PrivateKey(out.get(), get(), nullptr, nullptr, 0, nullptr,
                                                    nullptr) == 1,
               "write a key");
  char* text = nullptr;
  const auto size = static_cast<std::size_t>(BIO_get_mem_data(out.get(), &text));
  return {text, size};
}

bool SigningKey::is_rsa() const {
  return EVP_PKEY_is_a(get(), "RSA") == 1;
}

std::pair<std::vector<u8>, std::vector<u8>> SigningKey::sign(std::span<const u8> message) const {
  const std::size_t bytes = static_cast<std::size_t>(EVP_PKEY_get_bits(get())) / 8;
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        EVP_MD_CTX_free);
  std::vector<u8> der(EVP_PKEY_get_size(get()));
  std::size_t size = der.size();
  require_done(
      context &&
          EVP_DigestSignInit(context.get(), nullptr, bytes == 32 ? EVP_sha256() : EVP_sha384(),
                             nullptr, get()) == 1 &&
          EVP_DigestSign(context.get(), der.data(), &size, message.data(), message.size()) == 1,
      "sign");
  const u8* at = der.data();
  const std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> signature(
      d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(size)), ECDSA_SIG_free);
  require_done(signature != nullptr, "read a signature");
  return {fixed_size(ECDSA_SIG_get0_r(signature.get()), bytes),
          fixed_size(ECDSA_SIG_get0_s(signature.get()), bytes)};
}

std::vector<u8> SigningKey::point() const {
  std::vector<u8> encoded(256);
  std::size_t size = 0;
  require_done(EVP_PKEY_get_octet_string_param(get(), OSSL_PKEY_PARAM_PUB_KEY, encoded.data(),
                                               encoded.size(), &size) == 1 &&
                   size > 1,
               "write a public key");
  return {encoded.begin() + 1, encoded.begin() + static_cast<std::ptrdiff_t>(size)}; // without 04
}

} // namespace talaria::attest::simulated
