#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "launch/node_state.hpp"

namespace talaria::launch {

/// What `talaria status` is told.
struct ClusterStatus {
  std::filesystem::path file;
  std::string state; ///< starting, running or stopping
  std::chrono::milliseconds uptime{0};
  std::string serve;    ///< HOST:PORT; empty: no server
  pid_t server_pid = 0; ///< the process that serves; 0: none, or not yet
  std::filesystem::path logs;
  std::vector<NodeState> nodes;
  /// The health of the links as the gateway sees it: a JSON array of {name, state, round_trip_ms,
  /// in_flight, strikes, ...}. Anything that is not an array counts as empty.
  std::string workers = "[]";
};

/// One JSON object on one line: file, pid (of this process), state, uptime_s, serve, server (its
/// pid), logs, nodes, workers.
std::string to_json(const ClusterStatus& status);

/// {"event":"node", ...} with the same members as an element of `nodes`.
std::string node_event_json(const NodeState& node);

/// The tables for people, from what to_json() wrote. @throws Error{io} if it is something else.
std::string status_text(std::string_view json);

} // namespace talaria::launch
