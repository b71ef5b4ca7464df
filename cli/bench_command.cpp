#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/bench_measure.hpp"
#include "cli/bench_modes.hpp"
#include "cli/bench_report.hpp"
#include "cli/bench_setup.hpp"
#include "cli/commands.hpp"
#include "cli/local_nodes.hpp"
#include "cli/machine_probe.hpp"
#include "core/console.hpp"

namespace talaria::cli {

namespace {

/// One scheme with its engine, and what was measured of it.
struct Candidate {
  remo::SchemeKind kind = remo::SchemeKind::lattice;
  std::unique_ptr<pipeline::Engine> engine;
  bool embedded = true;
  TokenBytes bytes;
};

/// The mean of words' bytes over matrices that weigh as much as `weight` says; 0 without words.
template <class Weight>
double mean_word_bytes(const pipeline::Engine& engine, Weight weight) {
  double bytes = 0;
  double all = 0;
  for (const auto& linear : engine.linears()) {
    const double mine = weight(*linear);
    bytes += mine * static_cast<double>(linear->word_bytes());
    all += mine;
  }
  return all == 0 ? 0 : bytes / all;
}

double limbs_of(const Candidate& candidate) {
  if (candidate.kind == remo::SchemeKind::plain) return 1;
  return mean_word_bytes(*candidate.engine, [](const remo::MaskedLinear& linear) {
    return static_cast<double>(linear.d_in()) * static_cast<double>(linear.d_out());
  });
}

/// Of a value of the masks that a row takes.
double mask_word_bytes(const Candidate& candidate) {
  return mean_word_bytes(*candidate.engine, [](const remo::MaskedLinear& linear) {
    return linear.word_bytes() == 0 ? 0.0
                                    : static_cast<double>(linear.mask_row_bytes()) /
                                          static_cast<double>(linear.word_bytes());
  });
}

/// All engines, with one copy of the weights among the embedded ones, and one of a scheme's hints.
std::vector<Candidate> start(const BenchFlags& flags, const pipeline::EngineOptions& common) {
  std::vector<Candidate> candidates;
  std::shared_ptr<worker::ProductEngine> products;
  const auto add = [&](const pipeline::EngineOptions& options) {
    Candidate& candidate = candidates.emplace_back();
    candidate.kind = options.scheme.kind;
    candidate.embedded = !options.cluster;
    candidate.engine = start_engine(options, flags);
    if (candidate.embedded) products = candidate.engine->products();
  };
  for (const std::string& name : flags.schemes) {
    pipeline::EngineOptions options = common;
    options.scheme.kind = parse_candidate(name);
    options.products = products;
    if (options.scheme.kind == remo::SchemeKind::plain) options.cluster.reset();
    add(options);
    if (!flags.wire || !options.cluster) continue;
    options.cluster.reset();
    options.linears = candidates.back().engine->linears();
    options.products = products;
    add(options);
  }
  return candidates;
}

/// Figures of one candidate at one batch size, round by round.
struct Rounds {
  std::vector<double> prefill;
  std::vector<double> decode;
  std::vector<double> ttft;
  std::vector<TokenCost> decode_cost;
  std::vector<TokenCost> prefill_cost;
  u64 stalls = 0;
  double mask_ns_per_byte = 0;
};

/// What making a byte of masks took between two moments, or since the beginning if none was made.
double mask_ns_per_byte(const remo::MaskPool::Stats& before, const remo::MaskPool::Stats& after) {
  const bool any = after.bytes_made > before.bytes_made;
  const u64 bytes = after.bytes_made - (any ? before.bytes_made : 0);
  const double seconds = after.making_seconds - (any ? before.making_seconds : 0);
  return bytes == 0 ? 0 : 1e9 * seconds / static_cast<double>(bytes);
}

/// Milliseconds, with what the masks used cost.
double median_cpu(const std::vector<TokenCost>& costs, double TokenCost::*part,
                  double ns_per_byte) {
  std::vector<double> out;
  for (const TokenCost& cost : costs)
    out.push_back(cost.*part + 1e-6 * ns_per_byte * cost.mask_bytes);
  return median(std::move(out));
}

/// The candidates take turns, so that a slow moment of the machine hits all of them. Nobody's
/// masks are made while somebody else is measured: each measurement ends with a full stock. A first
/// prompt that is not counted lets stocks and buffers grow: new memory costs more than filling it.
std::vector<Rounds> measure(const BenchFlags& flags, std::size_t batch, u32 max_rows,
                            std::vector<Candidate>& candidates) {
  const BenchLoad load{batch, flags.prefill, flags.decode, flags.context};
  for (Candidate& candidate : candidates) candidate.engine->wait_for_masks();
  std::vector<Rounds> rounds(candidates.size());
  std::vector<remo::MaskPool::Stats> before;
  for (const Candidate& candidate : candidates) {
    (void)measure_prefill(*candidate.engine, load);
    before.push_back(candidate.engine->mask_stats());
  }
  for (u32 round = 0; round < *flags.rounds; ++round)
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      const DecodeFigures decode = measure_decode(*candidates[i].engine, load, max_rows);
      const PrefillFigures prefill = measure_prefill(*candidates[i].engine, load);
      rounds[i].decode.push_back(decode.tokens_per_s);
      rounds[i].stalls += decode.mask_stalls;
      rounds[i].prefill.push_back(prefill.tokens_per_s);
      rounds[i].ttft.push_back(prefill.ttft_ms);
      rounds[i].decode_cost.push_back(decode.cost);
      rounds[i].prefill_cost.push_back(prefill.cost);
    }
  for (std::size_t i = 0; i < candidates.size(); ++i)
    rounds[i].mask_ns_per_byte = mask_ns_per_byte(before[i], candidates[i].engine->mask_stats());
  return rounds;
}

void measure_all(const BenchFlags& flags, const BenchSetup& setup,
                 std::vector<Candidate>& candidates, BenchReport& report) {
  for (Candidate& candidate : candidates) {
    candidate.bytes = measure_bytes(*candidate.engine);
    report.hint_bytes = std::max(report.hint_bytes, candidate.engine->hint_bytes());
  }
  for (const std::size_t batch : flags.batches) {
    const std::vector<Rounds> rounds =
        measure(flags, batch, setup.options.batch.max_rows, candidates);
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      BenchResult& result = report.results.emplace_back();
      result.scheme = to_string(candidates[i].kind);
      result.embedded = candidates[i].embedded;
      result.on_this_machine = candidates[i].embedded || setup.workers_are_here;
      result.batch = batch;
      result.prefill_tokens_per_s = median(rounds[i].prefill);
      result.ttft_ms = median(rounds[i].ttft);
      result.decode_tokens_per_s = median(rounds[i].decode);
      result.mask_stalls = rounds[i].stalls;
      const auto cpu = [&](const std::vector<TokenCost>& costs, double TokenCost::*part) {
        return median_cpu(costs, part, rounds[i].mask_ns_per_byte);
      };
      result.prefill_cpu_ms = cpu(rounds[i].prefill_cost, &TokenCost::cpu_ms);
      result.prefill_enclave_ms = cpu(rounds[i].prefill_cost, &TokenCost::enclave_ms);
      result.decode_cpu_ms = cpu(rounds[i].decode_cost, &TokenCost::cpu_ms);
      result.decode_enclave_ms = cpu(rounds[i].decode_cost, &TokenCost::enclave_ms);
      result.mask_ns_per_value = rounds[i].mask_ns_per_byte * mask_word_bytes(candidates[i]);
      result.bytes = candidates[i].bytes;
      result.limbs = limbs_of(candidates[i]);
    }
  }
}

int compare_schemes(const BenchFlags& flags, const BenchSetup& setup, InterruptWatch& interrupts) {
  BenchReport report;
  report.model = setup.model;
  report.machine = probe_machine(setup.threads);
  report.prefill = flags.prefill;
  report.decode = flags.decode;
  report.context = flags.context;
  report.rounds = *flags.rounds;
  report.micro_batches = setup.options.batch.micro_batches;
  report.parameters = std::string(setup.options.scheme.parameters->name);

  std::vector<Candidate> candidates = start(flags, setup.options);
  {
    const OnInterrupt cancel(interrupts, [&candidates] {
      for (const Candidate& candidate : candidates) candidate.engine->cancel_all();
    });
    measure_all(flags, setup, candidates, report);
  }
  report.machine = best_of(report.machine, probe_machine(setup.threads));
  if (flags.json)
    print_out("{}\n", to_json(report).dump());
  else
    print_table(report);
  return 0;
}

int bench(BenchFlags& flags, InterruptWatch& interrupts) {
  flags.complete();
  const BenchSetup setup = set_up(flags);
  const auto nodes =
      setup.options.cluster ? start_local_nodes(setup.settings, interrupts) : nullptr;
  if (flags.tune) return bench_tune(flags, setup, interrupts);
  if (flags.calibrate) return bench_calibrate(flags, setup, interrupts);
  if (flags.trace_overhead) return bench_trace_overhead(flags, setup, interrupts);
  return compare_schemes(flags, setup, interrupts);
}

void add_loads(CLI::App& command, BenchFlags& flags) {
  command
      .add_option("--shape", flags.shape,
                  "random weights in the shape of llama-3.2-1b, llama-3.2-3b, llama-3-8b, "
                  "qwen2.5-0.5b or tiny")
      ->excludes("--model");
  command.add_option("--layers", flags.layers, "only so many layers of the --shape");
  command
      .add_option("--schemes", flags.schemes,
                  "any of plain (int8 without protection: the baseline), lattice, clear, hybrid; "
                  "default plain,lattice,clear")
      ->delimiter(',');
  command.add_option("--prefill", flags.prefill, "prompt tokens (default 256)");
  command.add_option("--decode", flags.decode, "tokens to generate (default 24)");
  command.add_option("--context", flags.context,
                     "prompt tokens that decoding starts behind (default 16)");
  command
      .add_option("--batch", flags.batches,
                  "requests at a time, e.g. 1,8,64 (default 1; with --tune 1,8)")
      ->delimiter(',');
  command.add_option("--rounds", flags.rounds,
                     "times everything is measured (default 3; --tune 5, --trace-overhead 21)");
}

} // namespace

void add_bench_command(CLI::App& app, Action& chosen) {
  auto flags = std::make_shared<BenchFlags>();
  CLI::App* command = app.add_subcommand(
      "bench", "Measure schemes against each other: tokens per second, bytes, what bounds them");
  flags->engine.add_to_bench(*command);
  add_loads(*command, *flags);
  command->add_flag("--wire", flags->wire,
                    "with workers in --config: measure every scheme in this process as well, in "
                    "turn, to see what the wire costs");
  command->add_flag("--trace-overhead", flags->trace_overhead,
                    "measure what --trace costs: prompts and decode steps with and without it take "
                    "turns");
  command->add_flag("--tune", flags->tune,
                    "find the pipeline and pool settings that are fastest here");
  command->add_flag("--calibrate", flags->calibrate,
                    "measure what `talaria plan --calibration` reads: masks, products, attention, "
                    "the wire, the enclave's part (by default of two layers of llama-3.2-1b)");
  command->add_option("-o,--output", flags->output,
                      "where --tune writes settings for a pipeline.yaml, or --calibrate its "
                      "figures (default: standard output)");
  command->add_flag("--json", flags->json, "print one JSON object");
  command->callback([flags, command, &chosen] {
    flags->model_given = command->count("--model") > 0;
    chosen = [flags](InterruptWatch& interrupts) { return bench(*flags, interrupts); };
  });
}

} // namespace talaria::cli
