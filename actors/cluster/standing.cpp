#include "actors/cluster/standing.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace talaria::cluster {

bool Standing::came(Clock::time_point now) {
  if (now < aside_until_) return false;
  connected_ = true;
  liar_ = false;
  strikes_ = 0;
  return true;
}

bool Standing::failed(Clock::time_point now) {
  failures_ = failures(now) + 1;
  last_failure_ = now;
  return ++strikes_ >= policy_.strikes;
}

u32 Standing::failures(Clock::time_point now) const {
  return failures_ > 0 && now - last_failure_ <= policy_.quarantine ? failures_ : 0;
}

bool Standing::suspend(Clock::time_point now, Milliseconds time) {
  connected_ = false;
  strikes_ = 0;
  if (now + time <= aside_until_) return false;
  aside_until_ = now + time;
  return true;
}

bool Standing::quarantine(Clock::time_point now) {
  const bool known = liar_ && now < aside_until_;
  failed(now);
  suspend(now, policy_.quarantine);
  liar_ = true;
  return !known;
}

std::optional<std::string> LineBudget::take(const std::string& line, Clock::time_point now) {
  if (left_ == kAtOnce) refilled_ = now;
  const auto pauses = static_cast<u64>(std::max<Clock::duration>(now - refilled_, {}) / kPause);
  left_ = static_cast<u32>(std::min<u64>(kAtOnce, left_ + pauses));
  refilled_ += pauses * kPause;
  if (left_ == 0) {
    ++left_out_;
    return std::nullopt;
  }
  --left_;
  const u64 before = std::exchange(left_out_, 0);
  return before == 0 ? line : fmt::format("{} (before it {} lines were left out)", line, before);
}

} // namespace talaria::cluster
