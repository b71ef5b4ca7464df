#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "core/integers.hpp"

namespace talaria::launch {

// What a worker says of itself, one JSON object a line on its standard output (`--progress json`).

/// {"event":"progress","what":"weights","done":N,"total":N}: bytes of the job under way.
struct ProgressEvent {
  std::string what;
  u64 done = 0;
  u64 total = 0; ///< at least `done`
};
/// {"event":"ready","address":"127.0.0.1:7601","matrices":9,"bytes":N}: it takes connections.
struct ReadyEvent {
  std::string address;
  u64 matrices = 0;
  u64 bytes = 0;
};
/// {"event":"error","message":...}: why it is about to end.
struct ErrorEvent {
  std::string message;
};
using NodeEvent = std::variant<ProgressEvent, ReadyEvent, ErrorEvent>;

/// Nothing if `line` is no such object; texts come out fit for a terminal. Unknown members are
/// skipped.
std::optional<NodeEvent> parse_event(std::string_view line);

} // namespace talaria::launch
