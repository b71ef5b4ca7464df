#include "telemetry/round_trip.hpp"

#include <algorithm>

namespace talaria::telemetry {

std::optional<RemoteTimes> on_our_clock(const RemoteTimes& theirs, i64 ahead, i64 sent,
                                        i64 arrived) noexcept {
  // The times are whatever a worker cares to write: only ordered positive ones are subtracted.
  if (theirs.received <= 0 || theirs.started < theirs.received ||
      theirs.finished < theirs.started || arrived < sent)
    return std::nullopt;
  const i64 queued = theirs.started - theirs.received;
  const i64 spent = theirs.finished - theirs.received;
  if (spent > arrived - sent) return std::nullopt;
  i64 received = 0;
  if (__builtin_sub_overflow(theirs.received, ahead, &received)) return std::nullopt;
  received = std::clamp(received, sent, arrived - spent);
  return RemoteTimes{received, received + queued, received + spent};
}

} // namespace talaria::telemetry
