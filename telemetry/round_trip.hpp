#pragma once

#include <optional>

#include "core/integers.hpp"

namespace talaria::telemetry {

/// What a worker says of its part in a product: ns since 1970 by its clock.
struct RemoteTimes {
  i64 received = 0;
  i64 started = 0;
  i64 finished = 0;
};

/// The worker's part on our clock, between our sending and the answer's arrival. `ahead` is the
/// worker's clock minus ours as estimated; since an estimate is off by up to half a round trip, the
/// part is moved as far as needed for nothing to arrive before it was sent. All in ns since 1970.
/// Nothing if the worker says nothing, contradicts itself, or claims more time than has passed.
std::optional<RemoteTimes> on_our_clock(const RemoteTimes& theirs, i64 ahead, i64 sent,
                                        i64 arrived) noexcept;

} // namespace talaria::telemetry
