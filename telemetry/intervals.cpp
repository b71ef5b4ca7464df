#include "telemetry/intervals.hpp"

#include <algorithm>
#include <unordered_map>

namespace talaria::telemetry {

std::vector<Interval> merged(std::vector<Interval> intervals) {
  std::erase_if(intervals, [](const Interval& i) { return i.end <= i.begin; });
  std::sort(intervals.begin(), intervals.end(),
            [](const Interval& a, const Interval& b) { return a.begin < b.begin; });
  std::vector<Interval> out;
  for (const Interval& i : intervals)
    if (out.empty() || i.begin > out.back().end)
      out.push_back(i);
    else
      out.back().end = std::max(out.back().end, i.end);
  return out;
}

i64 total_length(std::span<const Interval> intervals) noexcept {
  i64 sum = 0;
  for (const Interval& i : intervals) sum += i.end - i.begin;
  return sum;
}

Activity::Activity(std::span<const Work> work) {
  struct Change {
    i64 time;
    u64 who;
    int by;
  };
  std::vector<Change> changes;
  changes.reserve(2 * work.size());
  for (const Work& w : work) {
    if (w.when.end <= w.when.begin) continue;
    changes.push_back({w.when.begin, w.who, 1});
    changes.push_back({w.when.end, w.who, -1});
  }
  std::sort(changes.begin(), changes.end(),
            [](const Change& a, const Change& b) { return a.time < b.time; });
  std::unordered_map<u64, int> busy;
  u64 all = 0; // exclusive or of everybody busy: with one left, its name
  i64 since = 0;
  for (const Change& change : changes) {
    if (!busy.empty() && change.time > since)
      stretches_.push_back({{since, change.time}, all, busy.size() > 1});
    since = change.time;
    int& count = busy[change.who];
    const bool was_busy = count > 0;
    count += change.by;
    if (was_busy != (count > 0)) all ^= change.who;
    if (count == 0) busy.erase(change.who);
  }
}

std::vector<Interval> Activity::of_others(u64 who, Interval window) const {
  std::vector<Interval> out;
  auto it =
      std::lower_bound(stretches_.begin(), stretches_.end(), window.begin,
                       [](const Stretch& stretch, i64 time) { return stretch.when.end <= time; });
  for (; it != stretches_.end() && it->when.begin < window.end; ++it)
    if (it->several || it->sole != who)
      out.push_back({std::max(it->when.begin, window.begin), std::min(it->when.end, window.end)});
  return merged(std::move(out));
}

} // namespace talaria::telemetry
