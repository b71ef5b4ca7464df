#include "attest/evidence/public_key.hpp"

#include <memory>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include "core/error.hpp"

namespace talaria::attest {
namespace {

template <auto release>
struct Release {
  template <class T>
  void operator()(T* held) const {
    release(held);
  }
};
template <class T, auto release>
using Owned = std::unique_ptr<T, Release<release>>;
using Number = Owned<BIGNUM, BN_free>;
using KeyContext = Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;
using DigestContext = Owned<EVP_MD_CTX, EVP_MD_CTX_free>;
using Parameters = Owned<OSSL_PARAM, OSSL_PARAM_free>;
using ParameterBuilder = Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free>;

constexpr int kLeastRsaBits = 2048;
constexpr int kMaxRsaBits = 8192;

const EVP_MD* method(HashKind kind) {
  switch (kind) {
  case HashKind::sha256:
    return EVP_sha256();
  case HashKind::sha384:
    return EVP_sha384();
  case HashKind::sha512:
    return EVP_sha512();
  }
  return nullptr;
}

std::shared_ptr<evp_pkey_st> shared(EVP_PKEY* key) {
  return {key, EVP_PKEY_free};
}

std::optional<PublicKey> key_from(const char* algorithm, OSSL_PARAM* parameters) {
  const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, algorithm, nullptr));
  EVP_PKEY* key = nullptr;
  const bool is_read = context && EVP_PKEY_fromdata_init(context.get()) == 1 &&
                       EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters) == 1;
  ERR_clear_error();
  if (!is_read) return std::nullopt;
  PublicKey made(shared(key));
  const KeyContext check(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  const bool holds = check && EVP_PKEY_public_check(check.get()) == 1;
  ERR_clear_error();
  return holds ? std::optional(made) : std::nullopt;
}

bool verifies(EVP_PKEY* key, const EVP_MD* hash, Bytes signature, Bytes message, int padding) {
  const DigestContext context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* options = nullptr;
  bool holds = context && EVP_DigestVerifyInit(context.get(), &options, hash, nullptr, key) == 1 &&
               (padding == 0 || EVP_PKEY_CTX_set_rsa_padding(options, padding) == 1);
  holds = holds && EVP_DigestVerify(context.get(), signature.data(), signature.size(),
                                    message.data(), message.size()) == 1;
  ERR_clear_error(); // a signature that does not hold is no error of this program
  return holds;
}

} // namespace

std::vector<u8> digest(HashKind kind, Bytes data) {
  std::vector<u8> value(EVP_MAX_MD_SIZE);
  unsigned size = 0;
  if (EVP_Digest(data.data(), data.size(), value.data(), &size, method(kind), nullptr) != 1)
    throw Error(Errc::internal, "OpenSSL computes no digest");
  value.resize(size);
  return value;
}

PublicKey::PublicKey(std::shared_ptr<evp_pkey_st> key) : key_(std::move(key)) {}

std::optional<PublicKey> PublicKey::from_p256_point(Bytes point) {
  constexpr std::size_t kPointBytes = 64;
  if (point.size() != kPointBytes) return std::nullopt;
  std::vector<u8> encoded{POINT_CONVERSION_UNCOMPRESSED};
  encoded.insert(encoded.end(), point.begin(), point.end());
  char group[] = "prime256v1";
  OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, encoded.data(), encoded.size()),
      OSSL_PARAM_construct_end()};
  return key_from("EC", parameters);
}

std::optional<PublicKey> PublicKey::from_rsa(Bytes n, Bytes e) {
  if (n.size() > kMaxRsaBits / 8 + 1 || e.size() > 8) return std::nullopt;
  const Number modulus(BN_bin2bn(n.data(), static_cast<int>(n.size()), nullptr));
  const Number exponent(BN_bin2bn(e.data(), static_cast<int>(e.size()), nullptr));
  if (!modulus || !exponent || !BN_is_word(exponent.get(), RSA_F4) ||
      BN_num_bits(modulus.get()) < kLeastRsaBits || BN_num_bits(modulus.get()) > kMaxRsaBits)
    return std::nullopt;
  const ParameterBuilder builder(OSSL_PARAM_BLD_new());
  if (!builder ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get()) != 1)
    return std::nullopt;
  const Parameters parameters(OSSL_PARAM_BLD_to_param(builder.get()));
  return key_from("RSA", parameters.get());
}

PublicKey::Kind PublicKey::kind() const {
  if (EVP_PKEY_is_a(key_.get(), "RSA")) return Kind::rsa;
  char group[64] = {};
  std::size_t size = 0;
  if (!EVP_PKEY_is_a(key_.get(), "EC") ||
      EVP_PKEY_get_group_name(key_.get(), group, sizeof group, &size) != 1) {
    ERR_clear_error();
    return Kind::other;
  }
  const std::string_view name(group, size);
  return name == "prime256v1" ? Kind::p256 : name == "secp384r1" ? Kind::p384 : Kind::other;
}

int PublicKey::bits() const {
  return EVP_PKEY_get_bits(key_.get());
}

bool PublicKey::verifies_ecdsa(Bytes r, Bytes s, Bytes message) const {
  const Kind curve = kind();
  if (curve != Kind::p256 && curve != Kind::p384) return false;
  Number first(BN_bin2bn(r.data(), static_cast<int>(r.size()), nullptr));
  Number second(BN_bin2bn(s.data(), static_cast<int>(s.size()), nullptr));
  const Owned<ECDSA_SIG, ECDSA_SIG_free> pair(ECDSA_SIG_new());
  if (!first || !second || !pair) return false;
  if (ECDSA_SIG_set0(pair.get(), first.get(), second.get()) != 1) return false;
  (void)first.release(); // the pair has them now
  (void)second.release();
  u8* encoded = nullptr;
  const int size = i2d_ECDSA_SIG(pair.get(), &encoded);
  if (size <= 0) return false;
  const std::vector<u8> signature(encoded, encoded + size);
  OPENSSL_free(encoded);
  return verifies(key_.get(), method(curve == Kind::p256 ? HashKind::sha256 : HashKind::sha384),
                  signature, message, 0);
}

bool PublicKey::verifies_rsa_pkcs1(Bytes signature, Bytes message) const {
  if (kind() != Kind::rsa) return false;
  return verifies(key_.get(), EVP_sha256(), signature, message, RSA_PKCS1_PADDING);
}

} // namespace talaria::attest
