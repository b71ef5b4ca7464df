#include "actors/cluster/senders.hpp"

#include <algorithm>

namespace talaria::cluster {

Senders::Senders(const PlacementPlan& loaded) {
  for (const MatrixPlan& matrix : loaded) {
    auto& cuts = cuts_.emplace_back();
    for (const Shard& shard : matrix.shards) cuts.push_back({shard.first_column, shard.columns});
  }
}

std::vector<u32> Senders::numbers(u32 matrix, const std::vector<SentPart>& parts) {
  std::vector<u32> all;
  for (const Cut& cut : cuts_[matrix]) {
    std::vector<SentPart> inside;
    for (const SentPart& part : parts) {
      const u64 first = std::max(part.first_column, cut.first_column);
      const u64 end = std::min(part.first_column + part.columns, cut.first_column + cut.columns);
      if (first >= end) continue;
      if (!inside.empty() && inside.back().node == part.node)
        inside.back().columns += end - first;
      else
        inside.push_back({part.node, first, end - first});
    }
    if (inside.size() == 1) {
      all.push_back(inside[0].node);
      continue;
    }
    const auto [found, is_new] =
        numbers_.emplace(inside, kFirstGroup + static_cast<u32>(groups_.size()));
    if (is_new) groups_.push_back(std::move(inside));
    all.push_back(found->second);
  }
  return all;
}

bool Senders::known(u32 matrix, const std::vector<u32>& numbers, u32 nodes) const {
  if (matrix >= cuts_.size() || numbers.size() != cuts_[matrix].size()) return false;
  return std::all_of(numbers.begin(), numbers.end(), [&](u32 number) {
    return number < nodes ||
           (number >= kFirstGroup && number - kFirstGroup < static_cast<u32>(groups_.size()));
  });
}

std::vector<SentPart> Senders::parts(u32 matrix, std::size_t shard, u32 number) const {
  if (number >= kFirstGroup) return groups_[number - kFirstGroup];
  const Cut& cut = cuts_[matrix][shard];
  return {{number, cut.first_column, cut.columns}};
}

std::set<u32> Senders::nodes(u32 number) const {
  if (number < kFirstGroup) return {number};
  std::set<u32> nodes;
  for (const SentPart& part : groups_[number - kFirstGroup]) nodes.insert(part.node);
  return nodes;
}

} // namespace talaria::cluster
