#include "connect/receipt_watch.hpp"

#include <fmt/format.h>

#include <utility>

namespace talaria::connect {

namespace {

constexpr std::size_t kLongestComment = std::size_t{1} << 20;
constexpr std::string_view kFolder = "/v1/receipts/";
constexpr std::string_view kComment = ": talaria-receipt ";

} // namespace

ReceiptWatch::ReceiptWatch(ReceiptStore& store, const attest::Statement& statement,
                           std::string_view request, gateway::HttpFields credentials)
    : store_(store), key_(*statement.receipt_key), request_(sha256(attest::as_bytes(request))),
      credentials_(std::move(credentials)) {
  record_.key = key_;
  if (!store.options().with_bodies) return;
  record_.request = std::string(request);
  record_.response.emplace();
}

void ReceiptWatch::take_head(const ResponseHead& head) {
  constexpr int kOk = 200;
  is_wanted_ = head.status == kOk;
  is_stream_ = head.field("Content-Type").starts_with("text/event-stream");
  const std::string_view receipt = head.field("Talaria-Receipt");
  if (receipt.starts_with(kFolder))
    elsewhere_ = receipt;
  else if (!receipt.empty())
    take_receipt(receipt, head.field("Talaria-Receipt-Salts"));
}

std::string_view ReceiptWatch::elsewhere() const noexcept {
  return is_wanted_ && record_.jws.empty() ? std::string_view(elsewhere_) : std::string_view();
}

void ReceiptWatch::take_record(const std::string& text) {
  const auto record = attest::parse_record(text);
  if (!record) return store_.tell("receipt: " + record.refusal().reason);
  record_.jws = record->jws;
  record_.salts = record->salts;
}

void ReceiptWatch::take_receipt(std::string_view jws, std::string_view salts) {
  const auto read = attest::parse_salts(salts);
  record_.jws = jws;
  if (read) record_.salts = *read;
}

void ReceiptWatch::take(std::string_view part) {
  if (!is_wanted_) return;
  if (is_stream_) return take_events(part);
  response_.update(attest::as_bytes(part));
  if (record_.response) *record_.response += part;
}

/// Events are blocks that an empty line ends; one that begins with a colon is a comment, which is
/// no part of what was signed.
void ReceiptWatch::take_events(std::string_view part) {
  std::string events;
  for (const char c : part) {
    if (at_begin_) in_comment_ = c == ':';
    at_begin_ = c == '\n' && after_line_;
    after_line_ = c == '\n';
    if (!in_comment_)
      events += c;
    else if (comment_.size() < kLongestComment)
      comment_ += c;
    if (at_begin_ && in_comment_) take_comment();
  }
  response_.update(attest::as_bytes(events));
  if (record_.response) *record_.response += events;
}

void ReceiptWatch::take_comment() {
  std::string_view text = comment_;
  if (text.starts_with(kComment)) {
    text.remove_prefix(kComment.size());
    while (text.ends_with('\n')) text.remove_suffix(1);
    const std::size_t blank = text.find(' ');
    take_receipt(text.substr(0, blank),
                 blank == std::string_view::npos ? std::string_view() : text.substr(blank + 1));
  }
  comment_.clear();
}

/// Empty, or what speaks against it.
std::string ReceiptWatch::check(const attest::SignedReceipt& receipt) const {
  const attest::ReceiptSalts& salts = record_.salts;
  if (!receipt.is_signed_by(key_))
    return "it is not signed by the key that the server's evidence vouches for";
  if (receipt.receipt.request != attest::salted(salts.request, request_))
    return "it is about another request than was sent";
  if (receipt.receipt.response != attest::salted(salts.response, response_digest_))
    return "it is about another answer than came";
  return {};
}

std::string ReceiptWatch::finish() {
  if (!is_wanted_) return {};
  if (record_.jws.empty()) {
    store_.tell(!elsewhere_.empty()
                    ? "receipt: too long for the head of an answer; GET " + elsewhere_ +
                          " has it for ten minutes"
                    : "receipt: an answer came without one, although the server signs them");
    return {};
  }
  response_digest_ = response_.finish();
  const auto receipt = attest::parse_signed_receipt(record_.jws);
  if (!receipt) {
    store_.refuse(record_, receipt.refusal().reason);
    return {};
  }
  if (const std::string why = check(*receipt); !why.empty()) {
    store_.refuse(record_, why);
    return {};
  }
  store_.keep(*receipt, record_);
  return store_.wants_evidence(receipt->key_id) ? receipt->key_id : std::string();
}

void ReceiptWatch::cut() {
  if (is_wanted_)
    store_.tell("receipt: an answer was not taken to its end; GET /v1/receipts/ID has what was "
                "signed about it, for ten minutes");
}

} // namespace talaria::connect
