#include "connect/verified_channel.hpp"

#include <fmt/format.h>

#include "core/secret.hpp"

namespace talaria::connect {

namespace {

/// No line end gets into a head: what a client sent was parsed, and lines were taken apart there.
void add_field(std::string& head, std::string_view name, std::string_view value) {
  head.append(name).append(": ");
  for (const char c : value)
    if (c != '\r' && c != '\n' && c != '\0') head += c;
  head += "\r\n";
}

std::string head_of(const OutgoingRequest& request, const std::string& authority) {
  std::string head = fmt::format("{} {} HTTP/1.1\r\n", request.method, request.target);
  add_field(head, "Host", authority);
  for (const auto& [name, value] : request.fields) add_field(head, name, value);
  if (request.method == "POST")
    add_field(head, "Content-Length", std::to_string(request.body.size()));
  return head + "\r\n";
}

} // namespace

VerifiedChannel::VerifiedChannel(std::unique_ptr<Wire> wire, std::string authority,
                                 std::shared_ptr<const Trust> trust, attest::Verdict verdict)
    : wire_(std::move(wire)), authority_(std::move(authority)), trust_(std::move(trust)),
      verdict_(std::move(verdict)), verified_at_(transport::SteadyClock::now()) {}

VerifiedChannel::~VerifiedChannel() = default;

bool VerifiedChannel::is_fresh(const Trust& trust) const {
  const auto age = transport::SteadyClock::now() - verified_at_;
  return &trust == trust_.get() && age < trust.policy().binding.max_age &&
         (!verdict_.valid_until || trust.now() < *verdict_.valid_until);
}

void VerifiedChannel::lose(const char* why) {
  is_broken_ = true;
  throw ChannelLost(why, is_sent_, parser_.has_head());
}

void VerifiedChannel::send(const OutgoingRequest& request, const Patience& patience) {
  parser_ = ResponseParser();
  is_sent_ = false;
  std::string bytes = head_of(request, authority_) + request.body;
  const bool is_written = wire_->write(bytes, patience);
  wipe(bytes.data(), bytes.size());
  if (!is_written) lose("the connection to the server ended while the request was sent");
  is_sent_ = true;
}

/// Lets the parser see what has come.
Wire::Got VerifiedChannel::read(const Patience& patience) {
  std::string bytes;
  const Wire::Got got = wire_->read(bytes, patience);
  try {
    if (got == Wire::Got::bytes) parser_.feed(bytes);
    if (got == Wire::Got::end) parser_.end();
  } catch (const MalformedResponse& malformed) {
    lose(malformed.what());
  }
  wipe(bytes.data(), bytes.size());
  if (got == Wire::Got::failure) lose("the connection to the server broke");
  return got;
}

const ResponseHead& VerifiedChannel::await_head(const Patience& patience) {
  while (!parser_.has_head())
    if (read(patience) == Wire::Got::nothing_in_time) lose("the server did not answer in time");
  return parser_.head();
}

std::optional<std::string> VerifiedChannel::next_part(const Patience& patience) {
  for (;;) {
    std::string part = parser_.take_body();
    if (!part.empty()) return part;
    if (parser_.is_complete()) return std::nullopt;
    if (read(patience) == Wire::Got::nothing_in_time) return std::string();
  }
}

bool VerifiedChannel::is_reusable() const noexcept {
  return !is_broken_ && is_sent_ && parser_.is_complete() && !parser_.has_excess() &&
         parser_.head().keep_alive;
}

} // namespace talaria::connect
