#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "config/pipeline_config.hpp"
#include "launch/live_view.hpp"
#include "launch/node_state.hpp"

namespace talaria::launch {

struct SupervisorOptions {
  std::vector<std::size_t> nodes; ///< which of PipelineConfig::workers to run
  std::shared_ptr<LiveView> view; ///< null: nobody looks
};

/// All nodes of the file that this program starts: start local or ssh.
std::vector<std::size_t> startable_nodes(const config::PipelineConfig& config);

/// The local ones nobody listens for yet: what a command needs to start that wants to use the
/// cluster for a moment. Tries to connect to each, up to a second.
std::vector<std::size_t> idle_local_nodes(const config::PipelineConfig& config);

/// Runs nodes: starts them, reads what they say into logs and the live view, starts those again
/// that die (with growing delays, `launch.backoff`, and at most `launch.restarts` times in a row),
/// and ends them.
///
///   one thread: poll() on pipes and pidfds ──► Node (state machine) ──► snapshot, view, log
///
/// No node outlives it: they end with their standard input, with the thread that started them
/// (PR_SET_PDEATHSIG, also when this process is killed), and with the destructor. A node that ends
/// by itself with exit code 2 or 3 (or 126, 127) before it was ever ready is not tried again.
///
/// Thread-safe, but start() is called once, and update() by one thread at a time.
class Supervisor {
public:
  /// Does nothing yet. @throws Error{io} without resources.
  Supervisor(const config::PipelineConfig& config, SupervisorOptions options);
  ~Supervisor(); ///< stop()
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  /// Opens the logs and starts the processes; returns at once.
  /// @throws Error{config} for files of local nodes that are not there, and for an address that
  /// somebody listens on already; Error{io} if launch.logs cannot be written.
  void start();
  /// Returns once every node has been ready. @throws Error{no_worker} naming the first node that
  /// failed, with its last words; Error{cancelled} if stop() was asked for meanwhile.
  void wait_until_ready();
  /// Goes by another file of the same cluster: starts nodes that are new, and starts those again
  /// whose command line has changed, one after the other, each when the one before it is ready or
  /// has failed. Returns at once. Nodes that are no longer in it run on until retire().
  /// @returns their names
  /// @throws Error{config} as start(), about new nodes; nothing changes then.
  std::vector<std::string> update(const config::PipelineConfig& config);
  /// Ends those of these nodes that the file of the last update() does not have. At once.
  void retire(const std::vector<std::string>& names);
  /// Empty before start().
  std::vector<NodeState> nodes() const;
  /// Asks all nodes to end and returns at once. For signal watchers.
  void request_stop();
  /// SIGTERM (ssh: the session is closed), after five seconds SIGKILL; returns when all are gone.
  void stop();

private:
  class Worker;
  std::unique_ptr<Worker> worker_;
};

} // namespace talaria::launch
