#include "cli/tuning.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "core/error.hpp"
#include "settings/table.hpp"

namespace talaria::cli {

namespace {

constexpr double kWorthIt = 1.02;
constexpr double kMajority = 0.75;
constexpr int kSweeps = 3;

/// One setting and the values that are tried, in order.
struct Dial {
  std::string name;
  std::vector<u64> values;
  std::function<u64(const TunedSettings&)> get;
  std::function<void(TunedSettings&, u64)> set;
};

template <class T>
Dial dial(std::string name, std::vector<u64> values, T TunedSettings::*member) {
  return {std::move(name), std::move(values),
          [member](const TunedSettings& s) { return static_cast<u64>(s.*member); },
          [member](TunedSettings& s, u64 value) { s.*member = static_cast<T>(value); }};
}

/// 1, 2, 4, ... and `most` itself.
std::vector<u64> up_to(std::size_t most) {
  std::vector<u64> values;
  for (u64 n = 1; n < most; n *= 2) values.push_back(n);
  values.push_back(most);
  return values;
}

/// What the setting may be at most.
std::size_t limit_of(const char* key) {
  return settings::find_setting(key)->bounds->high;
}

std::vector<Dial> dials(std::size_t cores) {
  return {
      dial("pipeline.micro_batches", {1, 2, 3, 4, 6, 8}, &TunedSettings::micro_batches),
      dial("pipeline.max_rows", {16, 32, 64, 128, 256, 512, 1024}, &TunedSettings::max_rows),
      dial("pipeline.prefill_chunk", {16, 32, 64, 128, 256, 512}, &TunedSettings::prefill_chunk),
      dial("pipeline.threads", up_to(std::min(cores, limit_of("pipeline.threads"))),
           &TunedSettings::threads),
      dial("masking.pool.threads", up_to(std::min(cores, limit_of("masking.pool.threads"))),
           &TunedSettings::pool_threads)};
}

class Search {
public:
  Search(const TunedSettings& start,
         const std::function<Comparison(const TunedSettings&, const TunedSettings&)>& compare,
         const std::function<void(const Trial&)>& tell)
      : compare_(compare), tell_(tell) {
    tuning_.best = start;
  }

  /// True if the setting moved.
  bool turn(const Dial& dial) {
    const bool up = climb(dial, 1);
    return up || climb(dial, -1);
  }

  Tuning result(const TunedSettings& start) {
    if (tuning_.best == start) return tuning_;
    Trial trial{"all together", 0, compare_(start, tuning_.best), false};
    trial.kept = trial.result.gain > 1;
    tell_(trial);
    return trial.kept ? Tuning{tuning_.best, trial.result.gain} : Tuning{start, 1};
  }

private:
  bool climb(const Dial& dial, int step) {
    bool moved = false;
    while (const auto value = next(dial, step)) {
      if (was_compared(dial, *value) || !is_better(dial, *value)) break;
      moved = true;
    }
    return moved;
  }

  /// The nearest candidate above or below the present value.
  std::optional<u64> next(const Dial& dial, int step) const {
    const u64 now = dial.get(tuning_.best);
    if (step > 0) {
      const auto above = std::upper_bound(dial.values.begin(), dial.values.end(), now);
      return above == dial.values.end() ? std::nullopt : std::optional(*above);
    }
    const auto at = std::lower_bound(dial.values.begin(), dial.values.end(), now);
    return at == dial.values.begin() ? std::nullopt : std::optional(*(at - 1));
  }

  TunedSettings candidate(const Dial& dial, u64 value) const {
    TunedSettings settings = tuning_.best;
    dial.set(settings, value);
    return settings;
  }

  /// In an earlier sweep, with nothing changed since.
  bool was_compared(const Dial& dial, u64 value) const {
    const std::pair pair(tuning_.best, candidate(dial, value));
    return std::find(compared_.begin(), compared_.end(), pair) != compared_.end();
  }

  bool is_better(const Dial& dial, u64 value) {
    const TunedSettings settings = candidate(dial, value);
    compared_.emplace_back(tuning_.best, settings);
    Trial trial{dial.name, value, {}, false};
    try {
      trial.result = compare_(tuning_.best, settings);
    } catch (const Error& error) {
      if (error.code() == Errc::usage || error.code() == Errc::config) return false;
      throw;
    }
    trial.kept = trial.result.gain >= kWorthIt && trial.result.wins >= kMajority;
    tell_(trial);
    if (!trial.kept) return false;
    tuning_.best = settings;
    return true;
  }

  const std::function<Comparison(const TunedSettings&, const TunedSettings&)>& compare_;
  const std::function<void(const Trial&)>& tell_;
  Tuning tuning_;
  std::vector<std::pair<TunedSettings, TunedSettings>> compared_; ///< best, candidate
};

} // namespace

Tuning tune(const TunedSettings& start, std::size_t cores,
            const std::function<Comparison(const TunedSettings&, const TunedSettings&)>& compare,
            const std::function<void(const Trial&)>& tell) {
  TunedSettings begin = start;
  if (begin.threads == 0) begin.threads = cores; // the same, said so that it can move
  Search search(begin, compare, tell);
  const std::vector<Dial> all = dials(cores);
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    bool moved = false;
    for (const Dial& each : all) moved = search.turn(each) || moved;
    if (!moved) break;
  }
  return search.result(begin);
}

std::string to_yaml(const TunedSettings& s, std::string comment) {
  std::replace(comment.begin(), comment.end(), '\n', ' ');
  return fmt::format("# {}\n"
                     "pipeline: {{ micro_batches: {}, max_rows: {}, prefill_chunk: {}, threads: {} "
                     "}}\n"
                     "masking: {{ pool: {{ threads: {} }} }} # joins what masking: says already\n",
                     comment, s.micro_batches, s.max_rows, s.prefill_chunk, s.threads,
                     s.pool_threads);
}

} // namespace talaria::cli
