#pragma once

#include <atomic>
#include <cstddef>
#include <list>
#include <span>
#include <string>

#include "core/integers.hpp"
#include "core/secret.hpp"
#include "kv/store.hpp"

namespace talaria::kv {

/// Keys and values of sequences that are over, for later ones of the same owner that begin with the
/// same tokens: a chat sends its history again with every message. Whole blocks only. Owners do not
/// see each other's: neither contents nor the time that a hit saves. Keys and values of a token
/// depend on nothing but the tokens before it, so a hit changes no bit. One thread calls it (the
/// scheduler); counts() may be read by anyone.
class PrefixCache {
public:
  /// An owner keeps at most `owner_bytes`; all together what sequences leave of the store's budget.
  PrefixCache(std::shared_ptr<Store> store, std::size_t owner_bytes)
      : store_(std::move(store)), owner_bytes_(owner_bytes) {}

  /// Lets `sequence`, which holds nothing yet, begin with the blocks of the longest prefix of
  /// `tokens` that is kept for `owner`; at least one token is left over. Returns the positions that
  /// it has then.
  u32 begin(const std::string& owner, std::span<const u32> tokens, SequenceId sequence);

  /// Keeps the whole blocks of a sequence all of whose `tokens` have been written.
  void keep(const std::string& owner, std::span<const u32> tokens, SequenceId sequence);

  /// Gives back the blocks of the entry that was used longest ago. Returns false if there is none.
  bool evict();

  struct Counts {
    u64 queries = 0; ///< tokens that were looked for
    u64 hits = 0;    ///< of these, the ones that were found
  };
  Counts counts() const noexcept { return {queries_, hits_}; }
  std::size_t entries() const noexcept { return entries_.size(); }

private:
  struct Entry {
    std::string owner;
    SecretBuffer<u32> tokens; ///< whole blocks
    SequenceId sequence = 0;  ///< in the store
    std::size_t bytes = 0;
  };
  using Entries = std::list<Entry>; ///< the one used last comes first

  Entries::iterator longest(const std::string& owner, std::span<const u32> tokens, u32& positions);
  void drop(Entries::iterator entry);
  void drop_parts_of(const Entry& whole);
  void keep_within_quota(const std::string& owner);

  std::shared_ptr<Store> store_;
  std::size_t owner_bytes_;
  Entries entries_;
  SequenceId last_ = SequenceId{1} << 63; ///< far from those of requests
  std::atomic<u64> queries_{0};
  std::atomic<u64> hits_{0};
};

} // namespace talaria::kv
