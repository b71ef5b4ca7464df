#include <fmt/format.h>
#include <stdlib.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <system_error>

#include "cli/bench_measure.hpp"
#include "cli/bench_modes.hpp"
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

/// One figure with tracing and without, round by round.
struct Pair {
  std::vector<double> on;
  std::vector<double> off;

  std::vector<double> ratios() const {
    std::vector<double> out;
    for (std::size_t i = 0; i < on.size(); ++i) out.push_back(on[i] / off[i]);
    std::sort(out.begin(), out.end());
    return out;
  }
  /// The width of the middle half of the rounds' ratios.
  double spread() const {
    const auto sorted = ratios();
    return sorted[sorted.size() * 3 / 4] - sorted[sorted.size() / 4];
  }
};

/// Tokens per second. A machine with other things to do blurs those of the wall clock; those of the
/// CPU time, masks apart, stay clear.
struct Overhead {
  std::string scheme;
  std::size_t batch = 1;
  Pair prefill;
  Pair decode;
  Pair cpu; ///< of both together
};

/// A round is one measurement with and one without, each first in every other round.
Overhead measure(pipeline::Engine& engine, const BenchFlags& flags, std::size_t batch,
                 u32 max_rows) {
  const BenchLoad load{batch, flags.prefill, flags.decode};
  Overhead out;
  out.batch = batch;
  for (u32 round = 0; round < *flags.rounds; ++round)
    for (const bool second : {false, true}) {
      const bool on = second != (round % 2 == 0);
      engine.pause_trace(!on);
      const DecodeFigures decode = measure_decode(engine, load, max_rows);
      const PrefillFigures prefill = measure_prefill(engine, load);
      const double cpu_ms = prefill.cost.cpu_ms * flags.prefill + decode.cost.cpu_ms * flags.decode;
      (on ? out.cpu.on : out.cpu.off).push_back(1e3 * (flags.prefill + flags.decode) / cpu_ms);
      (on ? out.decode.on : out.decode.off).push_back(decode.tokens_per_s);
      (on ? out.prefill.on : out.prefill.off).push_back(prefill.tokens_per_s);
    }
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
                    {"prefill_tokens_per_s_on", median(r.prefill.on)},
                    {"prefill_tokens_per_s_off", median(r.prefill.off)},
                    {"prefill_on_over_off", median(r.prefill.ratios())},
                    {"prefill_spread", r.prefill.spread()},
                    {"decode_tokens_per_s_on", median(r.decode.on)},
                    {"decode_tokens_per_s_off", median(r.decode.off)},
                    {"decode_on_over_off", median(r.decode.ratios())},
                    {"decode_spread", r.decode.spread()},
                    {"cpu_on_over_off", median(r.cpu.ratios())},
                    {"cpu_spread", r.cpu.spread()}});
  return {{"results", std::move(list)}, {"spans_per_decode_step", spans}};
}

void print(const std::vector<Overhead>& results, double spans, u32 rounds) {
  constexpr const char* kRow = "{:<9}{:>6}{:>12}{:>12}{:>16}{:>12}{:>12}{:>16}{:>16}\n";
  fmt::print(kRow, "scheme", "batch", "prefill on", "off t/s", "on / off", "decode on", "off t/s",
             "on / off", "CPU on / off");
  const auto ratio = [](const Pair& pair) {
    return fmt::format("{:.3f} ({:.3f})", median(pair.ratios()), pair.spread());
  };
  for (const Overhead& r : results)
    fmt::print(kRow, r.scheme, r.batch, fmt::format("{:.1f}", median(r.prefill.on)),
               fmt::format("{:.1f}", median(r.prefill.off)), ratio(r.prefill),
               fmt::format("{:.2f}", median(r.decode.on)),
               fmt::format("{:.2f}", median(r.decode.off)), ratio(r.decode), ratio(r.cpu));
  fmt::print("\n{:.0f} spans per decode step; medians of {} rounds in turn, in brackets the width "
             "of the middle half;\nCPU: tokens per second of CPU time, masks included\n",
             spans, rounds);
}

} // namespace

int bench_trace_overhead(const BenchFlags& flags, const BenchSetup& setup,
                         InterruptWatch& interrupts) {
  std::vector<Overhead> results;
  double spans = 0;
  for (const std::string& scheme : flags.schemes) {
    const TemporaryFile file;
    pipeline::EngineOptions options = setup.options;
    options.scheme.kind = parse_contestant(scheme);
    if (options.scheme.kind == remo::SchemeKind::plain) options.cluster.reset();
    options.trace = file.path();
    const auto engine = start_engine(options, flags);
    const CancelOnInterrupt cancel(interrupts, [&engine] { engine->cancel_all(); });
    for (const std::size_t batch : flags.batches) {
      results.push_back(measure(*engine, flags, batch, options.batch.max_rows));
      results.back().scheme = scheme;
    }
    engine->write_trace();
    spans = std::max(spans, spans_per_step(file.path()));
  }
  if (flags.json)
    fmt::print("{}\n", to_json(results, spans).dump());
  else
    print(results, spans, *flags.rounds);
  return 0;
}

} // namespace talaria::cli
