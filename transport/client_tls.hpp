#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "transport/tls_stream.hpp"

struct ssl_ctx_st; // OpenSSL's SSL_CTX

namespace talaria::transport {

/// Whose certificate a client takes for the server's. Names without an authority of one's own are
/// those that the system's authorities vouch for; pins need no authority.
struct ServerExpectation {
  std::vector<std::string> names; ///< DNS names or addresses, of which the certificate has one
  bool any_name = false;          ///< then no name is compared
  std::filesystem::path ca;       ///< PEM; empty: with names the system's, else none
  std::vector<Sha256Digest> pins; ///< SHA-256 of the SubjectPublicKeyInfo; empty: any key
};

/// TLS 1.3 as a client without a certificate: AES-GCM, ALPN http/1.1, no tickets and no early data,
/// so that every connection has keys of its own. Immutable; thread-safe.
class ClientTls {
public:
  /// @throws Error{config} naming an authority's file that cannot be used, or a name that is none;
  /// or if neither names nor pins are expected, and not any name either.
  explicit ClientTls(ServerExpectation expected);

  const ServerExpectation& expected() const noexcept { return expected_; }
  ssl_ctx_st* context() const noexcept { return context_.get(); }

private:
  const ServerExpectation expected_;
  std::shared_ptr<ssl_ctx_st> context_;
};

/// The client's end of one TLS connection on a socket.
class ClientTlsStream final : public TlsStream {
public:
  /// `socket` stays the caller's.
  /// @param host  where the client wants to go, for the server that has several names
  ClientTlsStream(const ClientTls& tls, int socket, const std::string& host);

  /// Why handshake() failed.
  enum class Problem {
    cut,         ///< the connection ended, or was refused without a reason
    not_tls,     ///< the other end speaks something else
    version,     ///< the other end has no TLS 1.3, or nothing else in common with us
    certificate, ///< not one that is expected
  };
  struct Failure {
    Problem problem = Problem::cut;
    std::string reason; ///< one line; quotes no byte of the other end
  };
  Failure failure() const;
  /// After the handshake, which has checked the authority: whether the certificate has one of the
  /// expected names, and its key is a pinned one, as far as there are such.
  bool is_expected() const;

private:
  bool has_expected_name() const;

  const ClientTls& tls_;
};

} // namespace talaria::transport
