#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/integers.hpp"

struct ssl_ctx_st; // OpenSSL's SSL_CTX
struct ssl_st;

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

/// What a socket does without waiting.
struct IoResult {
  enum class Kind { done, wants_input, wants_output, closed, failed };
  Kind kind = Kind::done;
  std::size_t bytes = 0; ///< with done
};

/// The server's end of one TLS connection on a socket; no call ever waits. For one thread at a
/// time.
class ServerTlsStream {
public:
  /// `socket` stays the caller's.
  ServerTlsStream(const ServerTls& tls, int socket);
  ~ServerTlsStream();
  ServerTlsStream(const ServerTlsStream&) = delete;
  ServerTlsStream& operator=(const ServerTlsStream&) = delete;

  IoResult handshake();
  IoResult read(char* out, std::size_t size);
  IoResult write(const char* data, std::size_t size);
  /// Tells the client that nothing more comes.
  IoResult close_notify();
  /// Decrypted bytes that read() gives without the socket.
  bool has_pending() const noexcept;

  /// Keying material of this connection alone (RFC 8446 section 7.5), to bind something to it: an
  /// attestation report, say. Only after the handshake.
  /// @throws Error{internal} before it.
  std::vector<u8> exporter(std::string_view label, std::string_view context,
                           std::size_t bytes) const;

private:
  struct Bio;
  IoResult result_of(int returned, std::size_t bytes);

  const int socket_;
  ssl_st* ssl_;
  u64 since_key_update_ = 0;
};

} // namespace talaria::transport
