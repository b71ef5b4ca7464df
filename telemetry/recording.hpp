#pragma once

#include <limits>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/integers.hpp"
#include "telemetry/span_kind.hpp"

namespace talaria::telemetry {

inline constexpr u32 kNoMatrix = std::numeric_limits<u32>::max();
inline constexpr i64 kDidNotWait = std::numeric_limits<i64>::min();

/// What a span says beside its times: names, counts and numbers of things, never a token, text or
/// tensor value. Whatever is left at its default is left out of the file.
struct SpanLabels {
  u64 trace = 0;       ///< of the request; of the first one if the micro-batch carries several
  u64 micro_batch = 0; ///< 0: none
  u32 rows = 0;        ///< of a request: tokens of its prompt
  u32 sequences = 0;   ///< in the micro-batch; as many as rows: every row decodes
  u32 tokens = 0;      ///< of a request's answer
  u32 joined_rows = 0; ///< in the product these rows were part of
  u32 matrix = kNoMatrix;
  u64 bytes_up = 0; ///< of the masked tensor
  u64 bytes_down = 0;
};

/// Everything that goes into one trace file. Times in ns since `wall_origin`.
struct Recording {
  struct Track {
    u32 process = 0; ///< in `processes`
    std::string thread;
  };
  struct Event {
    i64 begin = 0;
    i64 end = 0;
    i64 waited_since = kDidNotWait; ///< when its message was sent
    u32 track = 0;                  ///< in `tracks`
    SpanKind kind = SpanKind::embed;
    SpanLabels labels;
  };
  struct Stock {
    i64 time = 0;
    u32 track = 0; ///< any of the process that holds the masks
    u64 bytes = 0;
  };

  i64 wall_origin = 0; ///< ns since 1970
  std::vector<std::string> processes;
  std::vector<Track> tracks;
  std::vector<Event> events;
  std::vector<Stock> stock;
  std::unordered_map<u64, std::vector<u64>> carried; ///< requests by micro-batch, if several
  u64 dropped = 0;                                   ///< spans that did not fit

  /// The number of the track called so; a new one if there is none.
  u32 track(std::string_view process, std::string_view thread);
};

} // namespace talaria::telemetry
