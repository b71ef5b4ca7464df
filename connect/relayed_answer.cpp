#include "connect/relayed_answer.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include "attest/binding/nonce_request.hpp"
#include "core/secret.hpp"
#include "gateway/connection.hpp"
#include "gateway/exchange.hpp"

namespace talaria::connect {

namespace {

using namespace std::chrono_literals;

constexpr auto kSilenceOfServer = 10min; // an answer may be a long time in the making
constexpr std::size_t kMostWhole = std::size_t{64} << 20;

constexpr std::array<std::string_view, 7> kPassed{
    "content-type",      "cache-control",   "retry-after",          "www-authenticate",
    "x-accel-buffering", "talaria-receipt", "talaria-receipt-salts"};
constexpr auto kForMore = 10s; // than the answer
constexpr std::size_t kLongestRecord = std::size_t{4} << 20;
constexpr std::string_view kPassedPrefix = "x-ratelimit-";

bool is_passed(std::string_view name) {
  return std::ranges::any_of(kPassed,
                             [&](auto known) { return gateway::same_name(known, name); }) ||
         gateway::same_name(name.substr(0, kPassedPrefix.size()), kPassedPrefix);
}

} // namespace

RelayedAnswer::RelayedAnswer(ChannelPool& pool, std::unique_ptr<VerifiedChannel> channel,
                             std::unique_ptr<ReceiptWatch> receipt, ReceiptStore* store)
    : pool_(pool), channel_(std::move(channel)), receipt_(std::move(receipt)), store_(store),
      head_(channel_->await_head({})) {
  if (receipt_) receipt_->take_head(head_);
}

RelayedAnswer::~RelayedAnswer() {
  if (receipt_) receipt_->cut();
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

/// As VerifiedChannel::next_part(), a moment long.
std::optional<std::string> RelayedAnswer::next_part() {
  auto part = channel_->next_part({transport::SteadyClock::now() + 100ms, nullptr});
  if (part && receipt_) receipt_->take(*part);
  if (!part) finish_receipt();
  return part;
}

void RelayedAnswer::finish_receipt() {
  const auto receipt = std::move(receipt_);
  if (receipt && !receipt->elsewhere().empty() && channel_->is_reusable())
    if (const auto record = fetch(receipt->elsewhere(), receipt->credentials(), kLongestRecord))
      receipt->take_record(*record);
  const std::string key_id = receipt ? receipt->finish() : std::string();
  if (!key_id.empty() && channel_->is_reusable()) fetch_evidence(key_id);
}

/// For whoever looks at the receipts later, and was not here when the connection was verified. It
/// is of no use to this program, and whatever comes is judged when it is used.
void RelayedAnswer::fetch_evidence(const std::string& key_id) {
  if (const auto document = fetch(attest::kEvidencePath, {}, attest::kMaxDocumentBytes))
    store_->keep_evidence(key_id, *document);
}

/// What the server has at `target`; nothing, which the user is told of, if that is not to be had.
std::optional<std::string>
RelayedAnswer::fetch(std::string_view target, const gateway::HttpFields& fields, std::size_t most) {
  const Patience patience{transport::SteadyClock::now() + kForMore,
                          [this] { return pool_.is_stopped(); }};
  constexpr int kOk = 200;
  try {
    channel_->send({"GET", std::string(target), fields, {}}, patience);
    const bool is_given = channel_->await_head(patience).status == kOk;
    std::string document;
    while (auto part = channel_->next_part(patience)) {
      document += *part;
      if (part->empty() || document.size() > most)
        throw ChannelLost(fmt::format("{} did not come", target), true, true);
    }
    if (is_given) return document;
    store_->tell(fmt::format("receipt: the server does not give {} now", target));
  } catch (const ChannelLost& lost) {
    store_->tell(fmt::format("receipt: {}", lost.what()));
  }
  return std::nullopt;
}

std::string RelayedAnswer::whole_body() {
  gateway::Exchange& exchange = gateway::current_exchange();
  const auto began = transport::SteadyClock::now();
  std::string body;
  while (true) {
    auto part = next_part();
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
    auto part = next_part();
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
