#include "launch/node_state.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace talaria::launch {

const char* to_string(Phase phase) noexcept {
  switch (phase) {
  case Phase::starting:
    return "starting";
  case Phase::loading:
    return "loading";
  case Phase::ready:
    return "ready";
  case Phase::restarting:
    return "restarting";
  case Phase::failed:
    return "failed";
  case Phase::stopped:
    return "stopped";
  }
  return "unknown";
}

std::string describe(const NodeState& state, NodeState::Clock::time_point now) {
  if (state.phase == Phase::loading && state.total > 0)
    return fmt::format("loading {} {:.0f} %", state.what,
                       100.0 * static_cast<double>(state.done) / static_cast<double>(state.total));
  if (state.phase == Phase::restarting) {
    using std::chrono::milliseconds;
    const auto left = std::chrono::duration_cast<milliseconds>(state.restart_at - now);
    return fmt::format("restarting in {}", time_text(std::max(left, milliseconds(0))));
  }
  return to_string(state.phase);
}

std::string bytes_text(double bytes) {
  constexpr std::array<std::pair<double, const char*>, 4> kUnits{
      {{1e12, "TB"}, {1e9, "GB"}, {1e6, "MB"}, {1e3, "kB"}}};
  for (const auto& [size, unit] : kUnits)
    if (bytes >= size) return fmt::format("{:.1f} {}", bytes / size, unit);
  return fmt::format("{:.0f} B", bytes);
}

std::string time_text(std::chrono::milliseconds time) {
  const i64 seconds = time.count() / 1000;
  if (seconds < 10) return fmt::format("{:.1f} s", static_cast<double>(time.count()) / 1000);
  if (seconds < 60) return fmt::format("{} s", seconds);
  if (seconds < 3600) return fmt::format("{} min {} s", seconds / 60, seconds % 60);
  if (seconds < 86400) return fmt::format("{} h {} min", seconds / 3600, seconds % 3600 / 60);
  return fmt::format("{} d {} h", seconds / 86400, seconds % 86400 / 3600);
}

} // namespace talaria::launch
