#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/digest.hpp"
#include "core/integers.hpp"

struct ssl_st; // OpenSSL's SSL

namespace talaria::transport {

/// What a socket does without waiting.
struct IoResult {
  enum class Kind { done, wants_input, wants_output, closed, failed };
  Kind kind = Kind::done;
  std::size_t bytes = 0; ///< with done
};

/// One end of a TLS 1.3 connection on a socket; no call ever waits. For one thread at a time.
class TlsStream {
public:
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  IoResult handshake();
  IoResult read(char* out, std::size_t size);
  IoResult write(const char* data, std::size_t size);
  /// Tells the other end that nothing more comes.
  IoResult close_notify();
  /// Decrypted bytes that read() gives without the socket.
  bool has_pending() const noexcept;

  /// Keying material of this connection alone (RFC 8446 section 7.5), to bind something to it: an
  /// attestation report, say. Both ends get the same. Only after the handshake.
  /// @throws Error{internal} before it.
  std::vector<u8> exporter(std::string_view label, std::string_view context,
                           std::size_t bytes) const;
  /// SHA-256 of the SubjectPublicKeyInfo of the certificate that this end has shown.
  /// @throws Error{internal} if it has none.
  Sha256Digest own_key() const;
  /// The same of the other end's. @throws Error{internal} if it has shown none.
  Sha256Digest peer_key() const;

protected:
  /// Takes `ssl`, which may be null; `socket` stays the caller's.
  /// @throws Error{internal} if OpenSSL had no memory.
  TlsStream(ssl_st* ssl, int socket);
  ~TlsStream();

  ssl_st* ssl() const noexcept { return ssl_.get(); }
  /// OpenSSL's code of the first error of the last call that failed; 0: it named none.
  unsigned long last_error() const noexcept { return last_error_; }

private:
  struct Bio;
  struct Free {
    void operator()(ssl_st* ssl) const noexcept;
  };
  IoResult result_of(int returned, std::size_t bytes);

  const int socket_;
  std::unique_ptr<ssl_st, Free> ssl_;
  u64 since_key_update_ = 0;
  unsigned long last_error_ = 0;
};

} // namespace talaria::transport
