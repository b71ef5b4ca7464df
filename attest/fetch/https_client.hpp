#pragma once

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
};

/// Reads a whole response of HTTP/1.1 (RFC 9112) from a connection that has ended: with a length,
/// in chunks, or to the end. @throws Error{io} for anything else, or a body of more than `most`.
HttpsReply parse_https_reply(std::string_view bytes, std::size_t most);

/// TLS 1.2 or 1.3 with the system's authorities; one connection for each request. What comes is
/// verified by its own signatures: these authorities only keep mischief out.
std::unique_ptr<HttpsClient> tls_https_client();

} // namespace talaria::attest
