#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/integers.hpp"

namespace talaria::gateway {

/// Whether two names of fields, media types or schemes are the same; ASCII letters have no case.
bool same_name(std::string_view a, std::string_view b) noexcept;

using HttpFields = std::vector<std::pair<std::string, std::string>>;

/// One request of HTTP/1.0 or 1.1, framing undone.
struct HttpRequest {
  std::string method;
  std::string target;    ///< as sent, without an authority
  std::string path;      ///< percent-decoded, without query
  std::string authority; ///< the target's, if it has one, or else the field Host
  HttpFields fields;     ///< of the head; trailer fields are dropped
  bool http_1_0 = false;
  bool keep_alive = true;
  bool chunked = false;
  std::optional<u64> content_length;
  std::string body; ///< as sent, perhaps compressed

  /// The first field of that name; empty if there is none.
  std::string_view field(std::string_view name) const noexcept;
  bool has(std::string_view name) const noexcept;
  bool announces_body() const noexcept { return chunked || content_length.value_or(0) > 0; }
};

/// Takes the parts of a streamed body.
class BodySink {
public:
  virtual ~BodySink() = default;
  /// False if the client is gone, or does not read.
  virtual bool write(const char* data, std::size_t size) = 0;
  /// The body is complete.
  void done() noexcept { done_ = true; }
  bool is_done() const noexcept { return done_; }

private:
  bool done_ = false;
};

struct HttpResponse {
  /// Writes what there is, waiting a moment for it; called until the sink is done. False ends the
  /// connection.
  using Stream = std::function<bool(BodySink& sink)>;

  int status = 200;
  HttpFields fields;
  std::string body;
  Stream stream; ///< instead of a body

  void set_header(std::string name, std::string value);
  void set_content(std::string content, const std::string& type);
  void set_stream(const std::string& type, Stream parts);
  std::string_view field(std::string_view name) const noexcept;
};

/// "Not Found"; RFC 9110 section 15, and 499.
const char* reason_phrase(int status) noexcept;

} // namespace talaria::gateway
