#include "config/padding.hpp"

#include <fmt/format.h>

namespace talaria::config {
namespace {

constexpr std::size_t kMaxBuckets = 64;

ReadValue buckets_in(std::vector<u32>& out, std::optional<Position>& at) {
  return [&out, &at](const Value& value) {
    at = value.at;
    const auto items = list_items(value);
    if (value.node.kind != YamlNode::Kind::sequence) return;
    if (items.empty() || items.size() > kMaxBuckets)
      return value.refuse(fmt::format("holds {} buckets; expected 1 to {}, like [8, 64, 256]",
                                      items.size(), kMaxBuckets));
    std::vector<u32> buckets;
    for (const Value& item : items) {
      u32 bucket = 0;
      whole_in(bucket, 1, kMaxBucket)(item);
      if (bucket == 0) return; // has been complained about
      if (!buckets.empty() && bucket <= buckets.back())
        return item.expected(fmt::format("more than {}, the bucket before it", buckets.back()));
      buckets.push_back(bucket);
    }
    out = std::move(buckets);
  };
}

} // namespace

ReadValue padding_in(Padding& out, std::optional<Position>& buckets_at) {
  return [&out, &buckets_at](const Value& value) {
    read_mapping(value,
                 {{"buckets", buckets_in(out.buckets, buckets_at)},
                  {"rounds", whole_in(out.rounds, 1, kMaxRounds)},
                  {"pace", duration_in(out.pace, std::chrono::milliseconds(1), kLongestPace)}});
  };
}

void check_buckets(const Padding& padding, const std::optional<Position>& buckets_at, u32 max_rows,
                   Problems& problems) {
  if (!buckets_at || padding.buckets.empty() || padding.buckets.back() <= max_rows) return;
  problems.add(*buckets_at, "masking.padding.buckets",
               fmt::format("the largest is {}; expected at most pipeline.max_rows, which is {}",
                           padding.buckets.back(), max_rows));
}

} // namespace talaria::config
