#include "connect/relayed_answer.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include "core/secret.hpp"
#include "gateway/connection.hpp"
#include "gateway/exchange.hpp"

namespace talaria::connect {

namespace {

using namespace std::chrono_literals;

constexpr auto kSilenceOfServer = 10min; // an answer may be a long time in the making
constexpr std::size_t kMostWhole = std::size_t{64} << 20;

constexpr std::array<std::string_view, 5> kPassed{"content-type", "cache-control", "retry-after",
                                                  "www-authenticate", "x-accel-buffering"};
constexpr std::string_view kPassedPrefix = "x-ratelimit-";

bool is_passed(std::string_view name) {
  return std::ranges::any_of(kPassed,
                             [&](auto known) { return gateway::same_name(known, name); }) ||
         gateway::same_name(name.substr(0, kPassedPrefix.size()), kPassedPrefix);
}

} // namespace

RelayedAnswer::RelayedAnswer(ChannelPool& pool, std::unique_ptr<VerifiedChannel> channel)
    : pool_(pool), channel_(std::move(channel)), head_(channel_->await_head({})) {}

RelayedAnswer::~RelayedAnswer() {
  if (channel_ && channel_->is_reusable()) pool_.release(std::move(channel_));
}

void RelayedAnswer::copy_head(gateway::HttpResponse& response) const {
  response.status = head_.status;
  for (const auto& [name, value] : head_.fields)
    if (is_passed(name)) response.set_header(name, value);
}

bool RelayedAnswer::is_whole() const {
  const std::string_view length = head_.field("Content-Length");
  std::size_t bytes = 0;
  const auto read = std::from_chars(length.data(), length.data() + length.size(), bytes);
  return !length.empty() && read.ec == std::errc() && bytes <= kMostWhole;
}

std::string RelayedAnswer::whole_body() {
  gateway::Exchange& exchange = gateway::current_exchange();
  const auto began = transport::SteadyClock::now();
  std::string body;
  while (true) {
    auto part = channel_->next_part({transport::SteadyClock::now() + 100ms, nullptr});
    if (!part) return body;
    body += *part;
    wipe(part->data(), part->size());
    exchange.client_left = exchange.connection->peer_left();
    if (exchange.client_left || pool_.is_stopped() ||
        transport::SteadyClock::now() - began > kSilenceOfServer)
      throw ChannelLost("the answer was not taken to its end", true, true);
  }
}

bool RelayedAnswer::stream(gateway::BodySink& sink) {
  gateway::Exchange& exchange = gateway::current_exchange();
  try {
    auto part = channel_->next_part({transport::SteadyClock::now() + 100ms, nullptr});
    const bool has_more = part.has_value();
    exchange.client_left =
        exchange.connection->peer_left() || (has_more && !sink.write(part->data(), part->size()));
    if (has_more) wipe(part->data(), part->size());
    if (!has_more) sink.done();
    return !exchange.client_left && !pool_.is_stopped();
  } catch (const ChannelLost&) {
    exchange.failed_status = 502;
    return false;
  }
}

} // namespace talaria::connect
