#pragma once

#include <list>
#include <mutex>
#include <string>
#include <unordered_map>

#include "attest/receipts/jws.hpp"

namespace talaria::attest {

/// Numbers and signs the receipts of one enclave. Each client has a chain of its own: a number for
/// all would tell each client how much the others ask. Thread-safe.
class ReceiptSigner {
public:
  /// @param most_chains  beyond it the one that was longest without a receipt is forgotten; its
  /// client's next receipt begins another
  explicit ReceiptSigner(ReceiptKey key, std::size_t most_chains = 4096);

  const ReceiptPublicKey& public_key() const noexcept { return key_.public_key(); }
  /// Sets chain, number, previous and time, and signs.
  /// @param whose  chain: the client's name within this server
  std::string sign(const std::string& whose, Receipt receipt);

private:
  struct Chain {
    std::string whose;
    std::array<u8, 16> name{};
    u64 number = 0; ///< of the last receipt
    Sha256Digest last{};
  };
  Chain& chain_of(const std::string& whose);

  const ReceiptKey key_;
  const std::size_t most_chains_;
  std::mutex mutex_;
  std::list<Chain> chains_; ///< the most recent first
  std::unordered_map<std::string, std::list<Chain>::iterator> by_client_;
};

} // namespace talaria::attest
