#include "gateway/request_parser.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <limits>

#include "gateway/api_error.hpp"

namespace talaria::gateway {

namespace http = boost::beast::http;
using boost::beast::error_code;
using boost::beast::string_view;

namespace {

constexpr std::size_t kLongestTarget = 8192;
constexpr std::size_t kMaxFields = 256;
constexpr std::size_t kMaxEmptyLines = 8;     // bytes of them before a request
constexpr std::size_t kChunkLine = 8 << 10;   // bytes of a chunk's line, or of all trailer fields
constexpr std::size_t kAroundBody = 16 << 10; // bytes around the chunks of any body,
constexpr std::size_t kAroundBodyBytes = 8;   // and for each byte of it

std::string text(string_view view) {
  return {view.data(), view.size()};
}

bool is_token_character(char c) {
  return c > ' ' && c < 127 &&
         std::string_view("\"(),/:;<=>?@[\\]{}").find(c) == std::string_view::npos;
}

ApiError malformed(const char* what) {
  return {400, fmt::format("the request is malformed: {}", what)};
}

std::string_view trimmed(std::string_view value) {
  while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
  while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.remove_suffix(1);
  return value;
}

bool is_whole_number(std::string_view value) {
  return !value.empty() &&
         std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// No body can be as long as 2^64; nothing if it is longer.
std::optional<u64> whole_number(std::string_view digits) {
  u64 number = 0;
  for (const char c : digits) {
    const u64 digit = static_cast<u64>(c - '0');
    if (number > (std::numeric_limits<u64>::max() - digit) / 10) return std::nullopt;
    number = 10 * number + digit;
  }
  return number;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// A path is compared with those that are served; what is not a valid escape stays as it is.
std::string percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
    if (low >= 0) i += 2;
    out += low >= 0 ? static_cast<char>(high * 16 + low) : text[i];
  }
  return out;
}

/// Takes "http://HOST" off a target in absolute form (RFC 9112 section 3.2.2).
std::string_view take_authority(std::string_view& target) {
  const std::size_t scheme_end = target.find("://");
  if (target.empty() || target.front() == '/' || scheme_end == std::string_view::npos) return {};
  const std::string_view scheme = target.substr(0, scheme_end);
  if (!same_name(scheme, "http") && !same_name(scheme, "https"))
    throw malformed("a target of another scheme");
  std::string_view rest = target.substr(scheme_end + 3);
  const std::size_t end = std::min(rest.find_first_of("/?"), rest.size());
  const std::string_view authority = rest.substr(0, end);
  if (authority.empty()) throw malformed("a target without a host");
  target = end == rest.size() ? std::string_view("/") : rest.substr(end);
  return authority;
}

/// Whether the one Content-Length of a head is a number, but none that fits into 64 bits.
bool is_beyond_counting(std::string_view head) {
  constexpr std::string_view kName = "content-length:";
  std::size_t lengths = 0;
  bool beyond = false;
  for (std::size_t at = 0; (at = head.find("\r\n", at)) != std::string_view::npos;) {
    at += 2;
    if (!same_name(head.substr(at, kName.size()), kName)) continue;
    const std::size_t begin = at + kName.size();
    const auto value = trimmed(head.substr(begin, head.find("\r\n", at) - begin));
    beyond = is_whole_number(value) && !whole_number(value);
    ++lengths;
  }
  return lengths == 1 && beyond;
}

} // namespace

class RequestParser::Beast final : public http::basic_parser<true> {
public:
  explicit Beast(RequestParser::Limits limits) : limits_(limits) {
    header_limit(static_cast<std::uint32_t>(limits.head));
    body_limit(std::numeric_limits<u64>::max()); // ours knows which answer the client gets
  }

  std::size_t feed(std::string_view bytes) {
    std::size_t used = 0;
    if (state_ == State::head && !begun_) used = skip_empty_lines(bytes);
    bytes.remove_prefix(used);
    if (state_ == State::head) look_for_what_never_ends(bytes);
    if (bytes.empty() || state_ == State::complete) return used;
    error_code error;
    const std::size_t taken = put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
    if (error && error != http::error::need_more) refuse(error, bytes);
    if (state_ != State::head) count(taken, bytes.size());
    if (is_header_done() && state_ == State::head) state_ = State::body;
    if (is_done()) state_ = State::complete;
    return used + taken;
  }

  State state_ = State::head;
  HttpRequest request_;

private:
  std::size_t skip_empty_lines(std::string_view bytes) {
    std::size_t used = 0;
    while (used < bytes.size() && (bytes[used] == '\r' || bytes[used] == '\n')) ++used;
    if ((skipped_ += used) > kMaxEmptyLines) throw malformed("empty lines before it");
    begun_ = used < bytes.size();
    return used;
  }

  /// Beast waits for an end that such bytes may never bring.
  void look_for_what_never_ends(std::string_view bytes) {
    if (!bytes.empty() && !is_token_character(bytes.front())) throw malformed("it is not HTTP");
    // Only as far as the head goes: behind it may stand the body.
    const std::size_t end =
        std::min(bytes.find("\r\n\r\n", std::max(seen_, std::size_t{3}) - 3), bytes.size());
    for (std::size_t at = bytes.find('\n', seen_); at < end; at = bytes.find('\n', at + 1))
      if (at == 0 || bytes[at - 1] != '\r') throw malformed("a line that ends without CR");
    seen_ = bytes.size();
  }

  void count(std::size_t taken, std::size_t offered) {
    around_ += taken;
    if (request_.body.size() + kAroundBody < around_) {
      const std::size_t around = around_ - request_.body.size();
      if (around > kAroundBody + kAroundBodyBytes * request_.body.size())
        throw ApiError(400, "too many bytes stand around the chunks of the body");
    }
    if (taken == 0 && offered > kChunkLine)
      throw ApiError(431, "a line between the chunks of the body, or its trailer, is too long");
  }

  [[noreturn]] static void refuse(error_code error, std::string_view bytes) {
    if (error == http::error::header_limit) {
      if (bytes.substr(0, kLongestTarget).find("\r\n") == std::string_view::npos)
        throw ApiError(414, "the path is too long");
      throw ApiError(431, "the head of the request is too long");
    }
    if (error == http::error::bad_content_length && is_beyond_counting(bytes))
      throw ApiError(413, "the body is too long");
    throw malformed(error == http::error::bad_version ? "not HTTP/1.0 or HTTP/1.1"
                    : error == http::error::bad_chunk ? "its chunks"
                                                      : "not what RFC 9112 allows");
  }

  void on_request_impl(http::verb, string_view method, string_view target, int version,
                       error_code&) override {
    if (target.size() > kLongestTarget) throw ApiError(414, "the path is too long");
    request_.method = text(method);
    request_.http_1_0 = version == 10;
    std::string_view rest(target.data(), target.size());
    request_.authority = std::string(take_authority(rest));
    request_.target = std::string(rest);
    request_.path = percent_decoded(rest.substr(0, rest.find_first_of("?#")));
  }

  void on_response_impl(int, string_view, int, error_code&) override {} // for responses

  void on_field_impl(http::field, string_view name, string_view value, error_code&) override {
    if (state_ != State::head) return; // trailer fields say nothing that counts here
    if (request_.fields.size() >= kMaxFields)
      throw ApiError(431, fmt::format("the head has more than {} fields", kMaxFields));
    request_.fields.emplace_back(text(name), text(value));
  }

  void on_header_impl(error_code&) override {
    request_.keep_alive = keep_alive();
    std::size_t hosts = 0;
    for (const auto& [name, value] : request_.fields) {
      if (same_name(name, "Host") && hosts++ == 0 && request_.authority.empty())
        request_.authority = value;
      if (same_name(name, "Content-Length")) take_length(value);
      if (same_name(name, "Transfer-Encoding")) take_coding(value);
    }
    if (hosts > 1) throw malformed("more than one Host");
    if (hosts == 0 && !request_.http_1_0) throw malformed("HTTP/1.1 needs a Host");
  }

  void take_length(std::string_view value) {
    if (request_.content_length || !is_whole_number(trimmed(value)))
      throw malformed("Content-Length must stand once and be a number");
    request_.content_length = whole_number(trimmed(value));
  }

  void take_coding(std::string_view value) {
    if (request_.http_1_0) throw malformed("HTTP/1.0 has no Transfer-Encoding");
    if (request_.chunked || !same_name(trimmed(value), "chunked"))
      throw ApiError(501, "no Transfer-Encoding but chunked is known here");
    request_.chunked = true;
  }

  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}

  std::size_t on_body_impl(string_view part, error_code&) override {
    request_.body.append(part.data(), part.size());
    return part.size();
  }

  void on_chunk_header_impl(std::uint64_t size, string_view, error_code&) override {
    if (size > limits_.body - std::min(limits_.body, request_.body.size()))
      throw ApiError(413, fmt::format("the body is longer than {} bytes", limits_.body));
  }

  std::size_t on_chunk_body_impl(std::uint64_t, string_view part, error_code& error) override {
    return on_body_impl(part, error);
  }

  void on_finish_impl(error_code&) override {}

  const RequestParser::Limits limits_;
  bool begun_ = false;      ///< something but empty lines has come
  std::size_t skipped_ = 0; ///< bytes of empty lines
  std::size_t seen_ = 0;    ///< of the head, without a bare LF
  std::size_t around_ = 0;  ///< bytes read behind the head
};

RequestParser::RequestParser(Limits limits) : beast_(std::make_unique<Beast>(limits)) {}
RequestParser::~RequestParser() = default;

std::size_t RequestParser::feed(std::string_view bytes) {
  return beast_->feed(bytes);
}

RequestParser::State RequestParser::state() const noexcept {
  return beast_->state_;
}

std::size_t RequestParser::held() const noexcept {
  return beast_->request_.body.size();
}

HttpRequest& RequestParser::request() noexcept {
  return beast_->request_;
}

} // namespace talaria::gateway
