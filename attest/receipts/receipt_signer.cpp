#include "attest/receipts/receipt_signer.hpp"

#include <chrono>

#include "core/kernel_random.hpp"

namespace talaria::attest {

ReceiptSigner::ReceiptSigner(ReceiptKey key, std::size_t most_chains)
    : key_(std::move(key)), most_chains_(most_chains) {}

ReceiptSigner::Chain& ReceiptSigner::chain_of(const std::string& whose) {
  if (const auto known = by_client_.find(whose); known != by_client_.end()) {
    chains_.splice(chains_.begin(), chains_, known->second);
    return chains_.front();
  }
  if (chains_.size() >= most_chains_) {
    by_client_.erase(chains_.back().whose);
    chains_.pop_back();
  }
  Chain& made = chains_.emplace_front();
  made.whose = whose;
  kernel_random(made.name);
  by_client_[whose] = chains_.begin();
  return made;
}

std::string ReceiptSigner::sign(const std::string& whose, Receipt receipt) {
  const std::lock_guard lock(mutex_); // the next one needs the hash of this one
  Chain& chain = chain_of(whose);
  receipt.chain = chain.name;
  receipt.number = chain.number + 1;
  receipt.previous.reset();
  if (chain.number > 0) receipt.previous = chain.last;
  receipt.issued = std::chrono::floor<Seconds>(std::chrono::system_clock::now());
  std::string jws = sign_receipt(receipt, key_);
  chain.number = receipt.number;
  chain.last = sha256(as_bytes(jws));
  return jws;
}

} // namespace talaria::attest
