#include "connect/response_parser.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>

#include <limits>
#include <utility>

namespace talaria::connect {

namespace http = boost::beast::http;
using boost::beast::error_code;
using boost::beast::string_view;

namespace {

constexpr std::uint32_t kMostHead = 64 << 10;
constexpr std::size_t kMostFields = 256;
constexpr std::size_t kMostUnread = 128 << 10; // a head, or a line between two chunks
constexpr unsigned kMostInterim = 64;
constexpr int kSwitchingProtocols = 101;

} // namespace

std::string_view ResponseHead::field(std::string_view name) const noexcept {
  for (const auto& [known, value] : fields)
    if (gateway::same_name(known, name)) return value;
  return {};
}

class ResponseParser::Beast final : public http::basic_parser<false> {
public:
  Beast() {
    header_limit(kMostHead);
    body_limit(std::numeric_limits<std::uint64_t>::max());
  }

  ResponseHead head_;
  std::string body_;

private:
  void on_request_impl(http::verb, string_view, string_view, int, error_code&) override {}

  void on_response_impl(int status, string_view, int, error_code&) override {
    head_.status = status;
  }

  void on_field_impl(http::field, string_view name, string_view value, error_code&) override {
    if (is_header_done()) return; // a trailer field
    if (head_.fields.size() >= kMostFields) throw MalformedResponse("the head has too many fields");
    head_.fields.emplace_back(std::string(name.data(), name.size()),
                              std::string(value.data(), value.size()));
  }

  void on_header_impl(error_code&) override { head_.keep_alive = keep_alive(); }
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}

  std::size_t on_body_impl(string_view part, error_code&) override {
    body_.append(part.data(), part.size());
    return part.size();
  }

  void on_chunk_header_impl(std::uint64_t, string_view, error_code&) override {}

  std::size_t on_chunk_body_impl(std::uint64_t, string_view part, error_code& error) override {
    return on_body_impl(part, error);
  }

  void on_finish_impl(error_code&) override {}
};

ResponseParser::ResponseParser() : beast_(std::make_unique<Beast>()) {}
ResponseParser::~ResponseParser() = default;
ResponseParser::ResponseParser(ResponseParser&&) noexcept = default;
ResponseParser& ResponseParser::operator=(ResponseParser&&) noexcept = default;

/// An interim response was read; what follows is another one.
void ResponseParser::restart() {
  if (beast_->head_.status == kSwitchingProtocols || ++interim_ > kMostInterim)
    throw MalformedResponse("an interim response that nobody asked for");
  beast_ = std::make_unique<Beast>();
}

void ResponseParser::feed(std::string_view bytes) {
  unread_.append(bytes);
  std::size_t used = 0;
  while (used < unread_.size() && !beast_->is_done()) {
    error_code error;
    const std::size_t taken =
        beast_->put(boost::asio::const_buffer(unread_.data() + used, unread_.size() - used), error);
    if (error && error != http::error::need_more)
      throw MalformedResponse("not a response of HTTP/1.1");
    used += taken;
    const bool is_interim = beast_->is_done() && beast_->head_.status < 200;
    if (is_interim) restart();
    if (taken == 0 && !is_interim) break;
  }
  unread_.erase(0, used);
  if (unread_.size() > kMostUnread) throw MalformedResponse("a line that does not end");
}

void ResponseParser::end() {
  error_code error;
  if (!beast_->is_done() && has_head()) beast_->put_eof(error);
  if (error || !beast_->is_done()) throw MalformedResponse("the response was cut");
}

bool ResponseParser::has_head() const noexcept {
  return beast_->is_header_done() && beast_->head_.status >= 200;
}

bool ResponseParser::is_complete() const noexcept {
  return beast_->is_done();
}

bool ResponseParser::has_excess() const noexcept {
  return is_complete() && !unread_.empty();
}

const ResponseHead& ResponseParser::head() const noexcept {
  return beast_->head_;
}

std::string ResponseParser::take_body() {
  return std::exchange(beast_->body_, {});
}

} // namespace talaria::connect
