#include <fmt/format.h>
#include <stdlib.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <system_error>

#include "cli/bench_measure.hpp"
#include "cli/bench_modes.hpp"
#include "core/console.hpp"
#include "telemetry/trace_file.hpp"

namespace talaria::cli {

namespace {

namespace fs = std::filesystem;

/// A file that ends with this object.
class TemporaryFile {
public:
  TemporaryFile() {
    std::string name = (fs::temp_directory_path() / "talaria-bench-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
      throw Error(Errc::io, name + ": the trace needs a folder; is TMPDIR writable?");
    folder_ = name;
  }
  ~TemporaryFile() {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  fs::path path() const { return folder_ / "trace.json"; }

private:
  fs::path folder_;
};

/// What was measured with tracing over what was measured without, neighbours in time.
class Ratios {
public:
  void add(double ratio) {
    sorted_.insert(std::upper_bound(sorted_.begin(), sorted_.end(), ratio), ratio);
  }
  double median() const { return cli::median(sorted_); }
  /// 95 % of such intervals contain the true median, whatever the distribution: by the binomial
  /// order of the samples.
  std::array<double, 2> interval() const {
    const auto n = static_cast<double>(sorted_.size());
    const double half = 0.98 * std::sqrt(n);
    const auto low = static_cast<std::size_t>(std::max(0.0, std::floor(n / 2 - half)));
    return {sorted_.at(low), sorted_.at(sorted_.size() - 1 - low)};
  }

private:
  std::vector<double> sorted_;
};

/// Throughputs, traced over untraced.
struct Overhead {
  std::string scheme;
  std::size_t batch = 1;
  std::vector<double> prefill_on; ///< tokens per second
  std::vector<double> prefill_off;
  Ratios prefill;      ///< of prompts, one with and one without
  double decode_s = 0; ///< median of all steps
  Ratios decode;       ///< of four steps, two with and two without
  Ratios decode_cpu;   ///< tokens per second of CPU time, of the same steps
};

/// Whether step `i` is traced: no, yes, yes, no, and the other way round, so that what drifts
/// (a context that grows, a machine that slows down) meets both alike.
bool traced(std::size_t i) {
  return std::popcount(i) % 2 == 1;
}

void add_steps(const std::vector<StepFigures>& steps, Overhead& out) {
  for (std::size_t first = 0; first + kStepGroup <= steps.size(); first += kStepGroup) {
    std::array<StepFigures, 2> sum{}; // without, with
    for (std::size_t i = first; i < first + kStepGroup; ++i) {
      sum[traced(i)].seconds += steps[i].seconds;
      sum[traced(i)].cpu_seconds += steps[i].cpu_seconds;
    }
    out.decode.add(sum[0].seconds / sum[1].seconds);
    out.decode_cpu.add(sum[0].cpu_seconds / sum[1].cpu_seconds);
  }
}

/// Prompts in pairs, each kind first in every other one; decode steps in groups of four.
Overhead measure(pipeline::Engine& engine, const BenchFlags& flags, std::size_t batch,
                 u32 max_rows) {
  const BenchLoad load{batch, flags.prefill, flags.decode, flags.context};
  Overhead out;
  out.batch = batch;
  std::vector<double> seconds;
  for (u32 round = 0; round < *flags.rounds; ++round) {
    const auto steps = measure_steps(engine, load, max_rows,
                                     [&engine](std::size_t i) { engine.pause_trace(!traced(i)); });
    add_steps(steps, out);
    for (const StepFigures& step : steps) seconds.push_back(step.seconds);
    for (const bool second : {false, true}) {
      const bool on = second != (round % 2 == 0);
      engine.pause_trace(!on);
      (on ? out.prefill_on : out.prefill_off).push_back(measure_prefill(engine, load).tokens_per_s);
    }
    out.prefill.add(out.prefill_on.back() / out.prefill_off.back());
  }
  out.decode_s = median(seconds);
  return out;
}

/// Spans of an average decode step, in all processes that the file tells of.
double spans_per_step(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  const telemetry::Trace trace = telemetry::read_trace(in, file.string());
  std::unordered_map<u64, u64> spans;
  std::unordered_map<u64, bool> decoding;
  for (const auto& span : trace.spans) {
    ++spans[span.labels.micro_batch];
    if (span.kind == telemetry::SpanKind::embed)
      decoding[span.labels.micro_batch] = span.labels.rows == span.labels.sequences;
  }
  u64 total = 0;
  u64 steps = 0;
  for (const auto& [micro_batch, decodes] : decoding) {
    if (!decodes) continue;
    total += spans[micro_batch];
    ++steps;
  }
  return steps == 0 ? 0 : static_cast<double>(total) / static_cast<double>(steps);
}

nlohmann::json to_json(const std::vector<Overhead>& results, double spans) {
  auto list = nlohmann::json::array();
  for (const Overhead& r : results)
    list.push_back({{"scheme", r.scheme},
                    {"batch", r.batch},
                    {"prefill_tokens_per_s_on", median(r.prefill_on)},
                    {"prefill_tokens_per_s_off", median(r.prefill_off)},
                    {"prefill_on_over_off", r.prefill.median()},
                    {"prefill_interval", r.prefill.interval()},
                    {"decode_tokens_per_s", static_cast<double>(r.batch) / r.decode_s},
                    {"decode_on_over_off", r.decode.median()},
                    {"decode_interval", r.decode.interval()},
                    {"decode_cpu_on_over_off", r.decode_cpu.median()},
                    {"decode_cpu_interval", r.decode_cpu.interval()}});
  return {{"results", std::move(list)}, {"spans_per_decode_step", spans}};
}

void print(const std::vector<Overhead>& results, double spans) {
  constexpr const char* kRow = "{:<9}{:>6}{:>13}{:>24}{:>13}{:>24}{:>24}\n";
  print_out(kRow, "scheme", "batch", "prefill t/s", "on / off", "decode t/s", "on / off",
            "CPU on / off");
  const auto ratio = [](const Ratios& ratios) {
    const auto [low, high] = ratios.interval();
    return fmt::format("{:.3f} ({:.3f} - {:.3f})", ratios.median(), low, high);
  };
  for (const Overhead& r : results)
    print_out(kRow, r.scheme, r.batch, fmt::format("{:.1f}", median(r.prefill_off)),
              ratio(r.prefill), fmt::format("{:.2f}", static_cast<double>(r.batch) / r.decode_s),
              ratio(r.decode), ratio(r.decode_cpu));
  print_out("\n{:.0f} spans per decode step; traced over untraced: medians of neighbours in time "
            "(prompts in pairs, decode steps\nin groups of four) and their 95 % intervals; CPU: "
            "tokens decoded per second of CPU time, new masks included\n",
            spans);
}

} // namespace

int bench_trace_overhead(const BenchFlags& flags, const BenchSetup& setup,
                         InterruptWatch& interrupts) {
  std::vector<Overhead> results;
  double spans = 0;
  for (const std::string& scheme : flags.schemes) {
    const TemporaryFile file;
    pipeline::EngineOptions options = setup.options;
    options.scheme.kind = parse_candidate(scheme);
    if (options.scheme.kind == remo::SchemeKind::plain) options.cluster.reset();
    options.trace = file.path();
    const auto engine = start_engine(options, flags);
    const OnInterrupt cancel(interrupts, [&engine] { engine->cancel_all(); });
    for (const std::size_t batch : flags.batches) {
      results.push_back(measure(*engine, flags, batch, options.batch.max_rows));
      results.back().scheme = scheme;
    }
    engine->write_trace();
    spans = std::max(spans, spans_per_step(file.path()));
  }
  if (flags.json)
    print_out("{}\n", to_json(results, spans).dump());
  else
    print(results, spans);
  return 0;
}

} // namespace talaria::cli
