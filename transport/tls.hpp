#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "core/integers.hpp"

struct ssl_ctx_st;    // OpenSSL's SSL_CTX
struct ssl_method_st; // OpenSSL's SSL_METHOD

namespace talaria::transport {

/// PEM files: the authority both ends trust, our certificate (with its chain, if any), its key.
struct TlsFiles {
  std::filesystem::path ca;
  std::filesystem::path cert;
  std::filesystem::path key;
};

/// Which end of a link this process is: it decides what its certificate must be good for.
enum class End { enclave, worker };

/// An enclave's certificate that is nowhere but in this process: its key dies with it.
struct EphemeralIdentity {
  std::filesystem::path ca; ///< that signed the workers' certificates
  std::string name;         ///< in ours, for logs
};

/// Whose certificates a worker accepts.
enum class Strangers : u8 {
  refused,       ///< those of the authority alone
  need_evidence, ///< any that shows that it has its key: evidence then has to cover that key. Only
                 ///< for a server with a gate; `ca` of the files may be empty
};

/// TLS 1.3 and nothing older, AES-128-GCM before AES-256-GCM, both ends show a certificate of the
/// one authority (but see Strangers), no session tickets. Copies share the settings; thread-safe.
class TlsContext {
public:
  /// Writers change their key every `key_update_bytes` bytes: AES-GCM wears out after some 360 GB
  /// (RFC 8446 section 5.5) and OpenSSL does not count.
  /// @throws Error{config} naming the file: unreadable, not PEM, key and certificate do not belong
  /// together, expired or not valid yet, not made for this end, a key that is encrypted or, being
  /// ours, readable by others.
  TlsContext(const TlsFiles& files, End end, u64 key_update_bytes = u64{64} << 30);

  /// The worker's end. @throws Error{config} as above.
  TlsContext(const TlsFiles& files, Strangers strangers);
  /// The enclave's end with a key and a self-signed certificate made now, for workers that demand
  /// evidence. @throws Error{config} naming the authority's file.
  explicit TlsContext(const EphemeralIdentity& identity);

  End end() const noexcept { return end_; }
  u64 key_update_bytes() const noexcept { return key_update_bytes_; }
  ssl_ctx_st* get() const noexcept { return context_.get(); }
  bool takes_strangers() const noexcept { return strangers_ == Strangers::need_evidence; }

private:
  void trust(const std::filesystem::path& ca);

  std::shared_ptr<ssl_ctx_st> context_;
  End end_;
  u64 key_update_bytes_;
  Strangers strangers_ = Strangers::refused;
};

/// TLS 1.3 alone, AES-128-GCM before AES-256-GCM, no tickets, no cached sessions, no passphrases.
/// @throws Error{internal} if OpenSSL cannot.
std::shared_ptr<ssl_ctx_st> tls13_context(const ssl_method_st* method);

/// @param holder   whose the certificate must be, "a worker"
/// @param purpose  OpenSSL's X509_PURPOSE_..., the same for OpenSSL
/// @throws Error{config} as TlsContext's constructor.
void load_own_certificate(ssl_ctx_st* context, const std::filesystem::path& cert,
                          const std::filesystem::path& key, const char* holder, int purpose);

} // namespace talaria::transport
