#pragma once

#include <atomic>
#include <cstddef>
#include <list>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/integers.hpp"
#include "core/secret.hpp"
#include "kv/store.hpp"

namespace talaria::kv {

/// Whose prefixes a sequence shares. Most are a name and nothing else.
struct PrefixOwner {
  std::string name; ///< empty: nobody
  /// False: keys and values of its tokens are others than those that the model alone computes, and
  /// so is the public prefix (an adapter's).
  bool takes_public = true;

  PrefixOwner() = default;
  PrefixOwner(std::string who, bool public_too = true)
      : name(std::move(who)), takes_public(public_too) {}
};

/// Keys and values of sequences that are over, for later ones of the same owner that begin with the
/// same tokens: a chat sends its history again with every message. Whole blocks only. Owners do not
/// see each other's: neither contents nor the time that a hit saves. Only the whole blocks of a
/// public prefix, which the operator names, are everybody's, also of those without a name; what
/// stands behind them is the owner's again. Keys and values of an owner's
/// token depend on nothing but the tokens before it, so a hit changes no bit. One thread calls it
/// (the scheduler); counts() may be read by anyone.
class PrefixCache {
public:
  /// An owner keeps at most `owner_bytes`; all together what sequences leave of the store's budget.
  /// @param public_prefix  tokens that every owner's prompts may begin with; empty: none
  PrefixCache(std::shared_ptr<Store> store, std::size_t owner_bytes,
              std::span<const u32> public_prefix = {});

  /// Lets `sequence`, which holds nothing yet, begin with the blocks of the longest prefix of
  /// `tokens` that is kept for `owner`, or is public; at least one token is left over. Returns the
  /// positions that it has then. Nobody has the public prefix alone.
  u32 begin(const PrefixOwner& owner, std::span<const u32> tokens, SequenceId sequence);

  /// Keeps the whole blocks of a sequence all of whose `tokens` have been written: for `owner`, if
  /// there is one, and for all those of the public prefix, if it begins with all of that.
  void keep(const PrefixOwner& owner, std::span<const u32> tokens, SequenceId sequence);

  /// Gives back the blocks of the entry that was used longest ago, the public one last. Returns
  /// false if there is none.
  bool evict();

  struct Counts {
    u64 queries = 0; ///< tokens that were looked for
    u64 hits = 0;    ///< of these, the ones that were found
  };
  Counts counts() const noexcept { return {queries_, hits_}; }
  std::size_t entries() const noexcept { return entries_.size(); }

private:
  struct Entry {
    std::string owner;        ///< empty: the public prefix
    SecretBuffer<u32> tokens; ///< whole blocks
    SequenceId sequence = 0;  ///< in the store
    std::size_t bytes = 0;
  };
  using Entries = std::list<Entry>; ///< the one used last comes first

  void keep_blocks(const std::string& owner, std::span<const u32> tokens, SequenceId sequence);
  Entries::iterator longest(const PrefixOwner& owner, std::span<const u32> tokens, u32& positions);
  void drop(Entries::iterator entry);
  void drop_parts_of(const Entry& whole);
  void keep_within_quota(const std::string& owner);

  std::shared_ptr<Store> store_;
  std::size_t owner_bytes_;
  std::vector<u32> public_; ///< whole blocks, which are no secret
  Entries entries_;
  SequenceId last_ = SequenceId{1} << 63; ///< far from those of requests
  std::atomic<u64> queries_{0};
  std::atomic<u64> hits_{0};
};

} // namespace talaria::kv
