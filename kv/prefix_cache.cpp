#include "kv/prefix_cache.hpp"

#include <algorithm>
#include <iterator>

namespace talaria::kv {

namespace {

u32 whole_blocks(std::size_t tokens) {
  return static_cast<u32>(tokens / kBlockPositions * kBlockPositions);
}

std::size_t common(std::span<const u32> a, std::span<const u32> b) {
  const std::size_t n = std::min(a.size(), b.size());
  const auto end = a.begin() + static_cast<std::ptrdiff_t>(n);
  return static_cast<std::size_t>(std::mismatch(a.begin(), end, b.begin()).first - a.begin());
}

} // namespace

PrefixCache::PrefixCache(std::shared_ptr<Store> store, std::size_t owner_bytes,
                         std::span<const u32> public_prefix)
    : store_(std::move(store)), owner_bytes_(owner_bytes),
      public_(public_prefix.begin(), public_prefix.begin() + whole_blocks(public_prefix.size())) {}

u32 PrefixCache::begin(const PrefixOwner& owner, std::span<const u32> tokens, SequenceId sequence) {
  if (owner.name.empty() && (public_.empty() || !owner.takes_public)) return 0;
  queries_ += tokens.size();
  u32 positions = 0;
  const auto entry = longest(owner, tokens.first(tokens.size() - 1), positions);
  if (entry == entries_.end()) return 0;
  const u32 shared = store_->share(entry->sequence, sequence, positions);
  if (shared != 0) entries_.splice(entries_.begin(), entries_, entry);
  hits_ += shared;
  return shared;
}

void PrefixCache::keep(const PrefixOwner& owner, std::span<const u32> tokens, SequenceId sequence) {
  if (owner.takes_public && !public_.empty() && common(public_, tokens) == public_.size())
    keep_blocks({}, public_, sequence);
  if (!owner.name.empty()) keep_blocks(owner.name, tokens, sequence);
}

void PrefixCache::keep_blocks(const std::string& owner, std::span<const u32> tokens,
                              SequenceId sequence) {
  const std::span<const u32> kept = tokens.first(whole_blocks(tokens.size()));
  if (kept.empty()) return;
  u32 positions = 0;
  const auto holder = longest(owner, kept, positions);
  // Blocks of the public entry are not the owner's to keep: an entry of its own lives longer.
  if (positions == kept.size() && holder->owner == owner)
    return entries_.splice(entries_.begin(), entries_, holder);
  Entry entry;
  entry.owner = owner;
  entry.sequence = ++last_;
  if (store_->share(sequence, entry.sequence, static_cast<u32>(kept.size())) == 0)
    return store_->release(entry.sequence);
  entry.tokens = SecretBuffer<u32>(kept.size());
  std::copy(kept.begin(), kept.end(), entry.tokens.data());
  entry.bytes = store_->layout().bytes_for(static_cast<u32>(kept.size()), kBlockPositions);
  entries_.push_front(std::move(entry));
  drop_parts_of(entries_.front());
  keep_within_quota(owner);
}

bool PrefixCache::evict() {
  if (entries_.empty()) return false;
  auto last = std::prev(entries_.end());
  if (last->owner.empty() && last != entries_.begin()) --last; // there is one of these at most
  drop(last);
  return true;
}

/// The one of the owner's entries, and the public one, with which `tokens` have the most whole
/// blocks in common; the end if none has one.
PrefixCache::Entries::iterator PrefixCache::longest(const PrefixOwner& owner,
                                                    std::span<const u32> tokens, u32& positions) {
  auto best = entries_.end();
  for (auto it = entries_.begin(); it != entries_.end(); ++it) {
    // An entry without an owner is the public one, which nobody has by its name.
    if ((it->owner.empty() || it->owner != owner.name) &&
        !(owner.takes_public && it->owner.empty()))
      continue;
    const u32 here = whole_blocks(common(it->tokens.span(), tokens));
    if (here <= positions) continue;
    positions = here;
    best = it;
  }
  return best;
}

void PrefixCache::drop(Entries::iterator entry) {
  store_->release(entry->sequence);
  entries_.erase(entry);
}

/// Entries that say nothing more than the beginning of `whole`.
void PrefixCache::drop_parts_of(const Entry& whole) {
  for (auto it = entries_.begin(); it != entries_.end();) {
    const auto entry = it++;
    if (&*entry != &whole && entry->owner == whole.owner &&
        common(entry->tokens.span(), whole.tokens.span()) == entry->tokens.size())
      drop(entry);
  }
}

void PrefixCache::keep_within_quota(const std::string& owner) {
  std::size_t bytes = 0;
  for (auto it = entries_.begin(); it != entries_.end();) {
    const auto entry = it++;
    if (entry->owner != owner) continue;
    bytes += entry->bytes;
    if (bytes > owner_bytes_) drop(entry);
  }
}

} // namespace talaria::kv
