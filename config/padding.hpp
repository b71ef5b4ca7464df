#pragma once

#include <optional>

#include "config/fields.hpp"
#include "config/pipeline_config.hpp"

namespace talaria::config {

inline constexpr u32 kMaxBucket = 65536;
inline constexpr u32 kMaxRounds = 4096;
inline constexpr std::chrono::milliseconds kLongestPace = std::chrono::minutes(1);

/// `masking.padding`; `buckets_at` becomes the place of the buckets, for check_buckets().
ReadValue padding_in(Padding& out, std::optional<Position>& buckets_at);

/// Adds a problem if a bucket is larger than `max_rows`, which bounds every micro-batch.
void check_buckets(const Padding& padding, const std::optional<Position>& buckets_at, u32 max_rows,
                   Problems& problems);

} // namespace talaria::config
