#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>

#include "core/integers.hpp"

namespace talaria::launch {

enum class Phase {
  starting,   ///< the process runs and has not said what it does
  loading,    ///< it reports progress
  ready,      ///< it takes connections
  restarting, ///< it died; the next try waits for its delay
  failed,     ///< it died, and is not started again
  stopped,    ///< it was told to end, and has
};
const char* to_string(Phase phase) noexcept;

/// How one node is at one moment.
struct NodeState {
  using Clock = std::chrono::steady_clock;
  std::string name;
  std::string address;
  Phase phase = Phase::starting;
  std::string what; ///< the job it reports, e.g. weights
  u64 done = 0;     ///< bytes of that job
  u64 total = 0;
  double bytes_per_second = 0; ///< of that job
  pid_t pid = 0;               ///< of the process, or of ssh; 0: there is none
  u32 restarts = 0;            ///< since the supervisor started
  Clock::time_point started;   ///< of the process, if there is one
  Clock::time_point restart_at;
  u64 matrices = 0; ///< what it said it holds, once ready
  u64 weight_bytes = 0;
  std::string last_death; ///< "killed by SIGKILL; last words: ..."; empty: it never died

  /// Nothing will change by itself.
  bool is_settled() const noexcept {
    return phase == Phase::ready || phase == Phase::failed || phase == Phase::stopped;
  }
};

/// "loading weights 43 %", "restarting in 2 s", "ready".
std::string describe(const NodeState& state, NodeState::Clock::time_point now);

/// "1.2 GB", "345.0 MB": decimal, as transfer rates are.
std::string bytes_text(double bytes);

/// "3 d 4 h", "12 min 3 s", "0.4 s": two units at most.
std::string time_text(std::chrono::milliseconds time);

} // namespace talaria::launch
