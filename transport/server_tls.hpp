#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>

#include "transport/tls_stream.hpp"

struct ssl_ctx_st; // OpenSSL's SSL_CTX

namespace talaria::transport {

/// TLS 1.3 towards clients that need no certificate, and nothing older: AES-GCM, ALPN http/1.1, no
/// tickets and so no resumption, every connection with keys of its own. Thread-safe.
class ServerTls {
public:
  /// @param cert  PEM, with its chain
  /// @throws Error{config} naming the file: unreadable, not PEM, key and certificate do not belong
  /// together, expired or not valid yet, a key that is encrypted or, being ours, readable by
  /// others.
  ServerTls(std::filesystem::path cert, std::filesystem::path key);

  /// Reads the files again if one of them has changed; connections that are there keep what they
  /// have. True if they were read. @throws Error{config} as the constructor; the old ones stay.
  bool reload_if_changed();

  std::shared_ptr<ssl_ctx_st> context() const;

private:
  const std::filesystem::path cert_;
  const std::filesystem::path key_;
  std::mutex reading_; ///< of the files again
  mutable std::mutex mutex_;
  std::shared_ptr<ssl_ctx_st> context_;
  std::string version_; ///< of the files, as they were read or last tried
};

/// The server's end of one TLS connection on a socket.
class ServerTlsStream final : public TlsStream {
public:
  /// `socket` stays the caller's.
  ServerTlsStream(const ServerTls& tls, int socket);
};

} // namespace talaria::transport
