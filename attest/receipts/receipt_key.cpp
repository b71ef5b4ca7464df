#include "attest/receipts/receipt_key.hpp"

#include <openssl/evp.h>

#include "attest/evidence/encodings.hpp"
#include "core/digest.hpp"
#include "core/error.hpp"

namespace talaria::attest {
namespace {

using MdContext = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

MdContext new_context() {
  MdContext context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  if (!context) throw Error(Errc::internal, "no memory for a signature");
  return context;
}

} // namespace

std::string to_jwk(const ReceiptPublicKey& key) {
  return R"({"crv":"Ed25519","kty":"OKP","x":")" + to_base64url(key) + R"("})";
}

std::string thumbprint_of(const ReceiptPublicKey& key) {
  return to_base64url(sha256(as_bytes(to_jwk(key))));
}

bool is_signed_by(const ReceiptPublicKey& key, Bytes message, Bytes signature) {
  const std::shared_ptr<EVP_PKEY> pkey(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, key.data(), key.size()),
      &EVP_PKEY_free);
  const MdContext context = new_context();
  return pkey && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, pkey.get()) == 1 &&
         EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(),
                          message.size()) == 1;
}

ReceiptKey::ReceiptKey(std::shared_ptr<evp_pkey_st> key) : key_(std::move(key)) {
  std::size_t size = public_.size();
  if (EVP_PKEY_get_raw_public_key(key_.get(), public_.data(), &size) != 1 || size != public_.size())
    throw Error(Errc::internal, "a key for receipts cannot be read back");
}

ReceiptKey ReceiptKey::create() {
  EVP_PKEY* made = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  if (made == nullptr) throw Error(Errc::internal, "no key for receipts can be made");
  return ReceiptKey(std::shared_ptr<EVP_PKEY>(made, &EVP_PKEY_free));
}

std::array<u8, 64> ReceiptKey::sign(Bytes message) const {
  const MdContext context = new_context();
  std::array<u8, 64> signature{};
  std::size_t size = signature.size();
  if (EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get()) != 1 ||
      EVP_DigestSign(context.get(), signature.data(), &size, message.data(), message.size()) != 1 ||
      size != signature.size())
    throw Error(Errc::internal, "a receipt cannot be signed");
  return signature;
}

} // namespace talaria::attest
