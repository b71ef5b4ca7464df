#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "connect/channel_pool.hpp"
#include "connect/receipt_watch.hpp"
#include "gateway/http_message.hpp"

namespace talaria::connect {

/// An answer on its way from a server to the client of the proxy. Its end gives the channel back.
class RelayedAnswer {
public:
  /// `channel` has the head of the answer.
  /// @param receipt  what looks for the answer's receipt; null: nobody does
  RelayedAnswer(ChannelPool& pool, std::unique_ptr<VerifiedChannel> channel,
                std::unique_ptr<ReceiptWatch> receipt = nullptr, ReceiptStore* store = nullptr);
  ~RelayedAnswer();
  RelayedAnswer(const RelayedAnswer&) = delete;
  RelayedAnswer& operator=(const RelayedAnswer&) = delete;

  const ResponseHead& head() const noexcept { return head_; }
  /// Status and those fields that are a client's business. Nothing that would lead it elsewhere or
  /// be kept: no Location, no cookies, no Alt-Svc.
  void copy_head(gateway::HttpResponse& response) const;
  /// The body is short enough, and said how long it is, to be taken as a whole.
  bool is_whole() const;
  /// Waits for all of it. @throws ChannelLost
  std::string whole_body();
  /// Writes what has come, waiting a moment for it. False ends the client's connection.
  bool stream(gateway::BodySink& sink);

private:
  std::optional<std::string> next_part();
  void finish_receipt();
  void fetch_evidence(const std::string& key_id);
  std::optional<std::string> fetch(std::string_view target, const gateway::HttpFields& fields,
                                   std::size_t most);

  ChannelPool& pool_;
  std::unique_ptr<VerifiedChannel> channel_;
  std::unique_ptr<ReceiptWatch> receipt_; ///< until the answer is complete
  ReceiptStore* const store_;             ///< with `receipt_`
  const ResponseHead head_;
};

} // namespace talaria::connect
