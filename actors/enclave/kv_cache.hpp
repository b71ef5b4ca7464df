#pragma once

#include <cstddef>
#include <map>
#include <vector>

#include "actors/enclave/messages.hpp"
#include "core/secret.hpp"

namespace talaria::enclave {

/// Keys and values of one layer, per sequence and key/value head, fp32, positions in order. With a
/// sliding window only what a future query can still see is kept. Wiped when a sequence is dropped.
class KvCache {
public:
  /// `window` 0: everything is visible.
  KvCache(std::size_t kv_heads, std::size_t head_dim, std::size_t window);

  /// The position the sequence continues at: how many were appended so far; 0 if unknown.
  std::size_t length(SequenceId sequence) const;

  /// Appends position length(sequence): k and v are [kv_heads, head_dim].
  void append(SequenceId sequence, const float* k, const float* v);

  /// The rows of one head that a query at position `position` (already appended) sees.
  struct View {
    const float* k = nullptr; ///< [count, head_dim]
    const float* v = nullptr;
    std::size_t count = 0;
  };
  View view(SequenceId sequence, std::size_t head, std::size_t position) const;

  void forget(SequenceId sequence);
  std::size_t sequences() const noexcept { return entries_.size(); }

private:
  struct Entry {
    std::size_t length = 0; ///< positions appended so far
    std::size_t first = 0;  ///< position stored at row 0
    std::size_t capacity = 0;
    SecretBuffer<float> k; ///< [kv_heads][capacity][head_dim]
    SecretBuffer<float> v;
  };
  void make_room(Entry& entry) const;
  void relocate(Entry& entry, std::size_t capacity, std::size_t drop) const;

  std::size_t kv_heads_;
  std::size_t head_dim_;
  std::size_t window_;
  std::map<SequenceId, Entry> entries_;
};

} // namespace talaria::enclave
