#include "pipeline/padding.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "core/error.hpp"

namespace talaria::pipeline {

u32 Padding::filled(u32 rows) const noexcept {
  const auto it = std::lower_bound(buckets.begin(), buckets.end(), rows);
  return it == buckets.end() ? rows : *it;
}

u32 Padding::dummy_rounds_for(u32 rounds_so_far) const noexcept {
  if (rounds <= 1) return 0;
  const u32 counted = std::max(rounds_so_far, 1U);
  return (rounds - counted % rounds) % rounds + (counted - rounds_so_far);
}

void validate(const Padding& padding, u32 max_rows) {
  u32 before = 0;
  for (const u32 bucket : padding.buckets) {
    if (bucket <= before)
      throw Error(Errc::config, fmt::format("padding: bucket {} stands behind {}; expected buckets "
                                            "in ascending order, from 1",
                                            bucket, before));
    before = bucket;
  }
  if (before > max_rows)
    throw Error(Errc::config, fmt::format("padding: the largest bucket is {}, and a micro-batch "
                                          "holds {} rows at most; expected buckets up to that",
                                          before, max_rows));
  if (padding.rounds == 0)
    throw Error(Errc::config, "padding: rounds is 0; expected 1 (no dummy rounds) or more");
  if (padding.pace.count() < 0)
    throw Error(Errc::config, "padding: the pace is negative; expected 0 (no pace) or more");
}

} // namespace talaria::pipeline
