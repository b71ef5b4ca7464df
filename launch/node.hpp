#pragma once

#include <poll.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/pipeline_config.hpp"
#include "launch/child_process.hpp"
#include "launch/event_line.hpp"
#include "launch/line_reader.hpp"
#include "launch/node_log.hpp"
#include "launch/node_state.hpp"

namespace talaria::launch {

/// One node over all its lives: start, load, ready, death, wait, start again. Lives on the
/// supervisor's thread and never waits.
class Node {
public:
  using Clock = NodeState::Clock;
  using Tell = std::function<void(const std::string& line)>;

  /// `tell` is given what a person should know, one line each. @throws Error{io} if its log cannot
  /// be written.
  Node(const config::PipelineConfig& config, const config::WorkerNode& node, Tell tell);

  void start(Clock::time_point now);
  /// Reads what the process wrote, notices its death, keeps its times. True if the state changed.
  bool service(Clock::time_point now);
  /// Asks the process to end; service() then insists, and ends with Phase::stopped.
  void begin_stop(Clock::time_point now);
  /// Adds what service() waits for. False if it must be called again soon without any of them.
  bool add_descriptors(std::vector<pollfd>& descriptors);

  const NodeState& state() const noexcept { return state_; }
  const std::filesystem::path& log_path() const noexcept { return log_.path(); }

private:
  using Duration = std::chrono::milliseconds;

  void read_output(Clock::time_point now);
  void take_out(const std::string& line, Clock::time_point now);
  void take_err(const std::string& line);
  void take(const ProgressEvent& event, Clock::time_point now);
  void take(const ReadyEvent& event, Clock::time_point now);
  void check_times(Clock::time_point now);
  void on_exit(const std::string& reason, bool retryable, Clock::time_point now);
  void tell(const std::string& text);

  NodeState state_;
  std::vector<std::string> command_;
  bool is_remote_;
  config::Launch limits_;
  NodeLog log_;
  Tell tell_;
  std::unique_ptr<ChildProcess> child_;
  LineReader out_lines_, err_lines_;
  std::string last_words_;  ///< of this life
  bool said_why_ = false;   ///< they come from an error event, and stay
  std::string kill_reason_; ///< why the supervisor itself ended it
  bool changed_ = false;
  bool was_ever_ready_ = false;
  u32 attempts_ = 0; ///< restarts in a row
  Clock::time_point job_start_, ready_at_;
  u64 job_done_at_start_ = 0;
  std::optional<Clock::time_point> stop_at_; ///< when it was asked to stop
};

} // namespace talaria::launch
