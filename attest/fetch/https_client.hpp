#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "attest/evidence/bytes.hpp"

namespace talaria::attest {

/// One answer of a server: status, fields by names in small letters, body.
struct HttpsReply {
  int status = 0;
  std::map<std::string, std::string, std::less<>> fields;
  std::string body;

  std::string_view field(std::string_view name) const {
    const auto found = fields.find(name);
    return found == fields.end() ? std::string_view() : std::string_view(found->second);
  }
};

/// All that this program asks of the web: GET, without cookies, redirects and anything that would
/// tell who asks.
class HttpsClient {
public:
  virtual ~HttpsClient() = default;
  /// GET https://HOST/TARGET. @throws Error{io} if there is no answer, or none in time.
  virtual HttpsReply get(const std::string& host, const std::string& target) = 0;
  /// Has a get() under way, and all that follow, fail soon. From any thread.
  virtual void stop() noexcept {}
};

/// Reads a whole response of HTTP/1.1 (RFC 9112) from a connection that has ended: with a length,
/// in chunks, or to the end. @throws Error{io} for anything else, or a body of more than `most`.
HttpsReply parse_https_reply(std::string_view bytes, std::size_t most);

struct HttpsOptions {
  /// For one request from its first packet to the last byte of its answer. Looking a name up comes
  /// before it, and takes as long as the system's resolver allows.
  std::chrono::milliseconds whole{30'000};
  std::string port = "443";
  std::filesystem::path authorities; ///< PEM; empty: the system's
};

/// TLS 1.2 or 1.3; one connection for each request. What comes is verified by its own signatures:
/// the authorities only keep mischief out.
std::unique_ptr<HttpsClient> tls_https_client(HttpsOptions options = {});

} // namespace talaria::attest
