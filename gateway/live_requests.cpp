#include "gateway/live_requests.hpp"

#include <algorithm>
#include <utility>

namespace talaria::gateway {

void LiveRequests::Visit::submitted(Clock::time_point at) {
  const std::lock_guard lock(list_.mutex_);
  if (!over_ && !line_->submitted) line_->submitted = at;
}

void LiveRequests::Visit::ended(const std::string& outcome,
                                std::optional<Clock::time_point> started) {
  const std::lock_guard lock(list_.mutex_);
  if (std::exchange(over_, true)) return;
  line_->ended = Clock::now();
  line_->outcome = outcome;
  line_->started = started;
  list_.ended_.splice(list_.ended_.begin(), list_.under_way_, line_);
  if (list_.ended_.size() > kKept) list_.ended_.pop_back();
}

std::unique_ptr<LiveRequests::Visit> LiveRequests::enter(Line line) {
  const std::lock_guard lock(mutex_);
  line.id = ++last_id_;
  under_way_.push_front(std::move(line));
  return std::make_unique<Visit>(*this, under_way_.begin());
}

std::vector<LiveRequests::Line> LiveRequests::lines() const {
  std::vector<Line> out;
  {
    const std::lock_guard lock(mutex_);
    out.assign(under_way_.begin(), under_way_.end());
    out.insert(out.end(), ended_.begin(), ended_.end());
  }
  std::sort(out.begin(), out.end(), [](const Line& a, const Line& b) { return a.id > b.id; });
  return out;
}

} // namespace talaria::gateway
