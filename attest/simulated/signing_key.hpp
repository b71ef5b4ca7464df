#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/integers.hpp"

struct evp_pkey_st; // OpenSSL's EVP_PKEY

namespace talaria::attest::simulated {

/// A private key of the simulated platform.
class SigningKey {
public:
  enum class Kind { rsa4096, p256, p384 };

  static SigningKey generate(Kind kind);
  /// @throws Error{config} if `pem` is no private key.
  static SigningKey from_pem(const std::string& pem);

  /// A plain string: the key protects nothing, and whoever can read the folder may have it.
  std::string pem() const;
  bool is_rsa() const;
  /// ECDSA with SHA-256 (P-256) or SHA-384 (P-384): r and s, big-endian, 32 or 48 bytes each.
  std::pair<std::vector<u8>, std::vector<u8>> sign(std::span<const u8> message) const;
  /// x and y of an elliptic key, big-endian, one behind the other.
  std::vector<u8> point() const;

  evp_pkey_st* get() const { return key_.get(); }

private:
  explicit SigningKey(std::shared_ptr<evp_pkey_st> key);

  std::shared_ptr<evp_pkey_st> key_;
};

} // namespace talaria::attest::simulated
