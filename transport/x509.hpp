#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include "core/secret.hpp"

struct x509_st;     // OpenSSL's X509
struct evp_pkey_st; // OpenSSL's EVP_PKEY

namespace talaria::transport {

enum class CertificateUse { authority, server, client };

struct CertificateRequest {
  std::string name; ///< subject; but for an authority also the one subjectAltName (DNS or IP)
  CertificateUse use = CertificateUse::authority;
  std::chrono::system_clock::time_point starts;
  std::chrono::system_clock::time_point ends;
};

/// A certificate and its private key.
class Credential {
public:
  /// A fresh EC P-256 key and its certificate, signed by `issuer`, or by itself if that is null.
  static Credential create(const CertificateRequest& request, const Credential* issuer);
  /// @throws Error{config} naming the file that is unreadable, not PEM, or does not fit the other.
  static Credential read(const std::filesystem::path& certificate,
                         const std::filesystem::path& key);

  std::string certificate_pem() const;
  SecretBuffer<char> key_pem() const;

  x509_st* certificate() const noexcept { return certificate_.get(); }
  evp_pkey_st* key() const noexcept { return key_.get(); }

  /// Whether it may sign certificates and has not expired.
  bool is_living_authority() const;
  std::chrono::system_clock::time_point ends() const;

private:
  Credential(std::shared_ptr<x509_st> certificate, std::shared_ptr<evp_pkey_st> key);

  std::shared_ptr<x509_st> certificate_;
  std::shared_ptr<evp_pkey_st> key_;
};

/// Whether the certificate in `file` names `name`, as a DNS name or an IP address.
/// @throws Error{config} if the file cannot be read.
bool certificate_names(const std::filesystem::path& file, const std::string& name);

/// OpenSSL's callback for keys under a passphrase: there is none. Without it OpenSSL would ask on
/// the terminal.
int no_passphrase(char* out, int size, int writing, void* user);

} // namespace talaria::transport
