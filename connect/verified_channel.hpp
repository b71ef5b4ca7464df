#pragma once

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include "attest/policy/verdict.hpp"
#include "connect/response_parser.hpp"
#include "connect/trust.hpp"
#include "connect/wire.hpp"

namespace talaria::connect {

/// A request without framing: Host and Content-Length are added.
struct OutgoingRequest {
  std::string method;
  std::string target;
  gateway::HttpFields fields;
  std::string body;
};

/// A request had no answer. The channel is of no further use.
class ChannelLost : public std::runtime_error {
public:
  /// @param sent      the server may have the whole request
  /// @param answered  a part of an answer has come
  ChannelLost(const std::string& why, bool sent, bool answered)
      : std::runtime_error(why), is_sent(sent), is_answered(answered) {}
  const bool is_sent;
  const bool is_answered;
};

/// A connection to a server whose evidence was accepted on it. There is no other thing in this
/// program that can send a body, and no other way to one than UnverifiedConnection::verify(): a
/// connection that is not verified fails to compile, not to check. One thread at a time.
class VerifiedChannel {
public:
  VerifiedChannel(const VerifiedChannel&) = delete;
  VerifiedChannel& operator=(const VerifiedChannel&) = delete;
  ~VerifiedChannel();

  const attest::Verdict& verdict() const noexcept { return verdict_; }
  /// The verdict's age, and dates within it, still allow a request. A policy that was replaced does
  /// not.
  bool is_fresh(const Trust& trust) const;
  /// Nothing has come since the last response, not even the end of the connection.
  bool is_quiet() const { return wire_->is_quiet(); }

  /// @throws ChannelLost
  void send(const OutgoingRequest& request, const Patience& patience);
  /// Waits for the head of the answer. @throws ChannelLost
  const ResponseHead& await_head(const Patience& patience);
  /// The next part of the body, possibly empty if `patience` is over; nothing once it is complete.
  /// @throws ChannelLost
  std::optional<std::string> next_part(const Patience& patience);
  /// The answer is complete and another request can follow.
  bool is_reusable() const noexcept;

private:
  friend class UnverifiedConnection;
  VerifiedChannel(std::unique_ptr<Wire> wire, std::string authority,
                  std::shared_ptr<const Trust> trust, attest::Verdict verdict);
  Wire::Got read(const Patience& patience);
  [[noreturn]] void lose(const char* why);

  const std::unique_ptr<Wire> wire_;
  const std::string authority_;
  const std::shared_ptr<const Trust> trust_;
  const attest::Verdict verdict_;
  const transport::TimePoint verified_at_;
  ResponseParser parser_;
  bool is_sent_ = false; ///< the present request, wholly
  bool is_broken_ = false;
};

} // namespace talaria::connect
