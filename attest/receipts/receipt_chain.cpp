#include "attest/receipts/receipt_chain.hpp"

#include <algorithm>
#include <map>

#include <fmt/format.h>

namespace talaria::attest {
namespace {

using Chain = std::vector<const SignedReceipt*>;

void check_step(const SignedReceipt& before, const SignedReceipt& after, Checks& checks) {
  const u64 from = before.receipt.number;
  const u64 to = after.receipt.number;
  if (from == to)
    return checks.fail(Stage::binding, "receipt-fork",
                       fmt::format("{} and {} have the same number, {}, and are not the same",
                                   before.receipt.id, after.receipt.id, to));
  if (to != from + 1)
    return checks.fail(Stage::binding, "receipt-gap",
                       fmt::format("between {} and {}, {} receipts are missing", before.receipt.id,
                                   after.receipt.id, to - from - 1));
  checks.require(after.receipt.previous == before.digest(), Stage::binding, "receipt-previous",
                 fmt::format("{} was signed after another receipt than {}", after.receipt.id,
                             before.receipt.id));
}

} // namespace

void check_chains(std::span<const SignedReceipt> receipts, Checks& checks) {
  std::map<std::pair<std::string, std::array<u8, 16>>, Chain> chains;
  for (const SignedReceipt& each : receipts)
    chains[{each.key_id, each.receipt.chain}].push_back(&each);
  for (auto& [name, chain] : chains) {
    std::ranges::stable_sort(chain, {}, [](const auto* each) { return each->receipt.number; });
    // Not std::ranges::unique, whose subrange clang 14 cannot compile: the fuzz targets are built
    // with it.
    const auto is_same = [](const auto* a, const auto* b) { return a->jws == b->jws; };
    chain.erase(std::unique(chain.begin(), chain.end(), is_same), chain.end());
    for (std::size_t i = 1; i < chain.size(); ++i) check_step(*chain[i - 1], *chain[i], checks);
  }
  for (const char* name : {"receipt-fork", "receipt-gap", "receipt-previous"})
    checks.pass(Stage::binding, name);
}

} // namespace talaria::attest
