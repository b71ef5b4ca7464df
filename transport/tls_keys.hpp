#pragma once

#include <string_view>
#include <vector>

#include "core/digest.hpp"
#include "core/integers.hpp"

struct ssl_st;  // OpenSSL's SSL
struct x509_st; // OpenSSL's X509

namespace talaria::transport {

/// Label of RFC 9266 for keying material that binds something to a TLS 1.3 connection.
inline constexpr std::string_view kChannelBindingLabel = "EXPORTER-Channel-Binding";

/// Keying material of one connection alone (RFC 8446 section 7.5).
/// @throws Error{internal} before the handshake is over.
std::vector<u8> exporter_of(ssl_st* ssl, std::string_view label, std::string_view context,
                            std::size_t bytes);

/// SHA-256 of the SubjectPublicKeyInfo. @throws Error{internal} if `certificate` is null.
Sha256Digest key_digest(const x509_st* certificate);
/// Of the certificate that the other end has shown. @throws Error{internal} if there is none.
Sha256Digest peer_key_digest(const ssl_st* ssl);

} // namespace talaria::transport
