#include "actors/enclave/kv_cache.hpp"

#include <algorithm>
#include <cstring>

namespace talaria::enclave {

namespace {
constexpr std::size_t kFirstCapacity = 64;
} // namespace

KvCache::KvCache(std::size_t kv_heads, std::size_t head_dim, std::size_t window)
    : kv_heads_(kv_heads), head_dim_(head_dim), window_(window) {}

std::size_t KvCache::length(SequenceId sequence) const {
  const auto it = entries_.find(sequence);
  return it == entries_.end() ? 0 : it->second.length;
}

void KvCache::append(SequenceId sequence, const float* k, const float* v) {
  Entry& entry = entries_[sequence];
  make_room(entry);
  const std::size_t row = entry.length - entry.first;
  for (std::size_t head = 0; head < kv_heads_; ++head) {
    const std::size_t at = (head * entry.capacity + row) * head_dim_;
    std::memcpy(entry.k.data() + at, k + head * head_dim_, head_dim_ * sizeof(float));
    std::memcpy(entry.v.data() + at, v + head * head_dim_, head_dim_ * sizeof(float));
  }
  ++entry.length;
}

KvCache::View KvCache::view(SequenceId sequence, std::size_t head, std::size_t position) const {
  const Entry& entry = entries_.at(sequence);
  std::size_t begin = 0;
  if (window_ != 0 && position + 1 > window_) begin = position + 1 - window_;
  const std::size_t at = (head * entry.capacity + (begin - entry.first)) * head_dim_;
  return {entry.k.data() + at, entry.v.data() + at, position + 1 - begin};
}

void KvCache::forget(SequenceId sequence) {
  entries_.erase(sequence);
}

/// Makes sure one more row fits: first by dropping what no later query sees, then by doubling.
void KvCache::make_room(Entry& entry) const {
  const std::size_t stored = entry.length - entry.first;
  if (stored < entry.capacity) return;
  // The next query, at position entry.length, sees the window - 1 positions before it.
  const std::size_t visible = window_ == 0 ? stored : std::min(stored, window_ - 1);
  const std::size_t drop = stored - visible;
  // Dropping pays for its copy only when it frees a good part of the buffer.
  const bool dropping_is_enough = drop >= std::max<std::size_t>(1, entry.capacity / 2);
  const std::size_t capacity =
      dropping_is_enough ? entry.capacity : std::max(kFirstCapacity, entry.capacity * 2);
  relocate(entry, capacity, dropping_is_enough ? drop : 0);
}

void KvCache::relocate(Entry& entry, std::size_t capacity, std::size_t drop) const {
  const std::size_t keep = entry.length - entry.first - drop;
  SecretBuffer<float> k(kv_heads_ * capacity * head_dim_);
  SecretBuffer<float> v(kv_heads_ * capacity * head_dim_);
  for (std::size_t head = 0; head < kv_heads_ && keep > 0; ++head) {
    const std::size_t from = (head * entry.capacity + drop) * head_dim_;
    const std::size_t to = head * capacity * head_dim_;
    std::memcpy(k.data() + to, entry.k.data() + from, keep * head_dim_ * sizeof(float));
    std::memcpy(v.data() + to, entry.v.data() + from, keep * head_dim_ * sizeof(float));
  }
  entry.k = std::move(k);
  entry.v = std::move(v);
  entry.capacity = capacity;
  entry.first += drop;
}

} // namespace talaria::enclave
