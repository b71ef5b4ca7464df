#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "core/integers.hpp"

namespace talaria::cli {

/// What `talaria bench --tune` chooses; ranges and meaning as in pipeline.yaml.
struct TunedSettings {
  u32 micro_batches = 1;
  u32 max_rows = 1;
  u32 prefill_chunk = 1;
  std::size_t threads = 0;      ///< 0: all cores
  std::size_t pool_threads = 0; ///< of the mask pool
  friend bool operator==(const TunedSettings&, const TunedSettings&) = default;
};

/// A candidate measured against the settings that are best so far.
struct Comparison {
  double gain = 0;             ///< above 1: the candidate is faster
  double wins = 0;             ///< part of the rounds in which it was, 0 to 1
  std::vector<double> figures; ///< of the candidate, as the caller likes
};

/// One step of the search.
struct Trial {
  std::string setting; ///< "pipeline.max_rows"
  u64 value = 0;
  Comparison result;
  bool kept = false;
};

struct Tuning {
  TunedSettings best;
  double gain = 1; ///< over the settings it began with, measured at the end
};

/// Coordinate descent: one setting after the other moves up or down its candidates for as long as
/// `compare` finds it at least 2 % faster than the best so far, and faster in three rounds of four
/// (less is noise); all of them again until none moves, at most three times. What was found is
/// compared with the start once more, which wins if it is no slower: many small errors would add
/// up. `cores` bounds the numbers of threads. A candidate for which `compare` throws Error{usage}
/// or Error{config} cannot be had, and is passed over.
Tuning tune(const TunedSettings& start, std::size_t cores,
            const std::function<Comparison(const TunedSettings& best,
                                           const TunedSettings& candidate)>& compare,
            const std::function<void(const Trial&)>& tell);

/// A fragment of a pipeline.yaml; `comment` stands above it.
std::string to_yaml(const TunedSettings& settings, std::string comment);

} // namespace talaria::cli
