#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "attest/receipts/receipt_record.hpp"
#include "attest/receipts/receipt_signer.hpp"
#include "gateway/exchange.hpp"

namespace talaria::gateway {

/// The receipts of a server: signs them, and keeps them for a while for the client whose answers
/// they are about. Thread-safe.
class ReceiptBook {
public:
  using Clock = std::chrono::steady_clock;
  struct Options {
    attest::Receipt terms; ///< what is the same in all: service, model, scheme, software...
    std::shared_ptr<attest::ReceiptSigner> signer;
    std::size_t kept = 4096; ///< at most, the youngest
    std::chrono::minutes kept_for{10};
    std::function<Clock::time_point()> now = Clock::now;
  };
  explicit ReceiptBook(Options options) : options_(std::move(options)) {}

  const attest::Receipt& terms() const noexcept { return options_.terms; }
  /// Signs `receipt` as the next of `client`, and keeps it.
  attest::ReceiptRecord issue(const std::string& client, attest::Receipt receipt,
                              const attest::ReceiptSalts& salts);
  /// The receipt of response `id`, if it is still here and was `client`'s.
  std::optional<attest::ReceiptRecord> find(const std::string& client, std::string_view id);

private:
  struct Kept {
    std::string client;
    std::string id;
    attest::ReceiptRecord record;
    Clock::time_point until;
  };
  void forget_old();

  const Options options_;
  std::mutex mutex_;
  std::deque<Kept> kept_; ///< the oldest first
};

/// Whose receipts they are: who proved to be somebody is the same after a change of address.
std::string receipt_owner(const Client& client);

} // namespace talaria::gateway
