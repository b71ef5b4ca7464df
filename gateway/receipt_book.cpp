#include "gateway/receipt_book.hpp"

#include <algorithm>

namespace talaria::gateway {

std::string receipt_owner(const Client& client) {
  return client.identity.empty() ? client.name : client.identity;
}

attest::ReceiptRecord ReceiptBook::issue(const std::string& client, attest::Receipt receipt,
                                         const attest::ReceiptSalts& salts) {
  const std::string id = receipt.id;
  attest::ReceiptRecord record;
  record.salts = salts;
  record.jws = options_.signer->sign(client, std::move(receipt));
  const std::lock_guard lock(mutex_);
  forget_old();
  if (kept_.size() >= options_.kept) kept_.pop_front();
  kept_.push_back({client, id, record, options_.now() + options_.kept_for});
  return record;
}

std::optional<attest::ReceiptRecord> ReceiptBook::find(const std::string& client,
                                                       std::string_view id) {
  const std::lock_guard lock(mutex_);
  forget_old();
  const auto found = std::ranges::find_if(
      kept_, [&](const Kept& each) { return each.id == id && each.client == client; });
  if (found == kept_.end()) return std::nullopt;
  return found->record;
}

void ReceiptBook::forget_old() {
  const auto now = options_.now();
  while (!kept_.empty() && kept_.front().until <= now) kept_.pop_front();
}

} // namespace talaria::gateway
