#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "cli/bench_measure.hpp"
#include "cli/bench_report.hpp"
#include "cli/commands.hpp"
#include "cli/engine_flags.hpp"
#include "cli/local_nodes.hpp"
#include "cli/machine_probe.hpp"
#include "core/progress.hpp"
#include "model/weights/synthetic.hpp"
#include "pipeline/model_loader.hpp"

namespace talaria::cli {

namespace {

struct BenchFlags {
  EngineFlags engine;
  std::string shape;
  u32 layers = 0;
  std::vector<std::string> schemes{"plain", "lattice", "clear"};
  std::vector<std::size_t> batches{1};
  u32 prefill = 256;
  u32 decode = 24;
  u32 rounds = 3;
  bool json = false;

  /// @throws Error{usage}
  void validate() const;
};

/// One scheme with its engine, and what was measured of it.
struct Contestant {
  remo::SchemeKind kind = remo::SchemeKind::lattice;
  std::unique_ptr<pipeline::Engine> engine;
  bool embedded = true;
  TokenBytes bytes;
};

/// `plain` has no other door than this.
remo::SchemeKind parse_contestant(const std::string& name) {
  return name == to_string(remo::SchemeKind::plain) ? remo::SchemeKind::plain
                                                    : remo::parse_scheme(name);
}

void require_range(std::size_t value, std::size_t low, std::size_t high, const char* flag) {
  if (value < low || value > high)
    throw Error(Errc::usage,
                fmt::format("{} must be between {} and {}; got {}", flag, low, high, value));
}

void BenchFlags::validate() const {
  for (const std::string& name : schemes) parse_contestant(name);
  for (const std::size_t batch : batches) require_range(batch, 1, 1024, "--batch");
  require_range(prefill, 1, 1 << 20, "--prefill");
  require_range(decode, 1, 1 << 20, "--decode");
  require_range(rounds, 1, 1000, "--rounds");
  if (layers > 0 && shape.empty())
    throw Error(Errc::usage,
                "--layers takes layers off a --shape; a model folder is measured whole");
}

std::shared_ptr<const pipeline::ModelLoader> open_model(const BenchFlags& flags,
                                                        const config::PipelineConfig& settings,
                                                        model::WeightFormat format) {
  if (flags.shape.empty())
    return std::make_shared<const pipeline::ModelLoader>(settings.model, format);
  const model::ModelConfig config = model::shape_config(flags.shape, flags.layers);
  return std::make_shared<const pipeline::ModelLoader>(config, model::synthetic_tensors(config),
                                                       format);
}

BenchModel describe(const BenchFlags& flags, const config::PipelineConfig& settings,
                    const pipeline::ModelLoader& loader) {
  const model::ModelConfig& config = loader.config();
  const std::size_t sets = loader.format() == model::WeightFormat::int16 ? 2 : 1;
  BenchModel out;
  out.name = flags.shape.empty() ? settings.model.filename().string()
                                 : flags.shape + " shape, random weights";
  out.layers = config.layers;
  out.weights = to_string(loader.format());
  const u32 count = model::linear_count(config);
  for (u32 i = 0; i < count; ++i) out.weight_bytes += sets * pipeline::linear_bytes(config, {i});
  out.head_bytes = sets * pipeline::linear_bytes(config, {count - 1});
  return out;
}

/// Bytes that may still be taken without swapping; 0: unknown.
std::size_t available_memory() {
  std::ifstream in("/proc/meminfo");
  std::string word;
  while (in >> word)
    if (std::size_t kib = 0; word == "MemAvailable:" && in >> kib) return kib << 10;
  return 0;
}

/// A shape whose hints do not fit would end in the hands of the kernel's out-of-memory killer.
void require_memory(const BenchFlags& flags, const pipeline::EngineOptions& options,
                    const pipeline::ModelLoader& loader, const BenchModel& model) {
  std::size_t need = options.cluster ? 0 : model.weight_bytes;
  if (std::count(flags.schemes.begin(), flags.schemes.end(), "lattice") > 0) {
    const auto& p = *options.scheme.parameters;
    std::size_t columns = 0;
    for (u32 i = 0; i < model::linear_count(loader.config()); ++i)
      columns += model::linear_outputs(loader.config(), model::linear_kind(loader.config(), {i}));
    need += columns * (loader.format() == model::WeightFormat::int16 ? 2 : 1) * p.dimension() *
                static_cast<std::size_t>(p.modulus().word_bytes) +
            options.pool.memory_bytes;
  }
  const std::size_t available = available_memory();
  if (available != 0 && need > available)
    throw Error(Errc::usage,
                fmt::format("weights, hints and masks take {:.1f} GB, {:.1f} GB are available: "
                            "measure fewer layers (--layers) or schemes (--schemes)",
                            static_cast<double>(need) / 1e9, static_cast<double>(available) / 1e9));
}

std::size_t limbs_of(const Contestant& contestant, const remo::SchemeOptions& scheme) {
  switch (contestant.kind) {
  case remo::SchemeKind::plain:
    return 1;
  case remo::SchemeKind::lattice:
  case remo::SchemeKind::clear:
    return static_cast<std::size_t>(scheme.parameters->modulus().word_bytes);
  case remo::SchemeKind::hybrid:
    break;
  }
  return 0;
}

/// Before anything else is said. @throws Error{usage}
void check_fits(const BenchFlags& flags, const model::ModelConfig& model) {
  if (flags.prefill + flags.decode > model.max_position)
    throw Error(Errc::usage,
                fmt::format("--prefill {} and --decode {} make {} tokens; the model's context "
                            "holds {}",
                            flags.prefill, flags.decode, flags.prefill + flags.decode,
                            model.max_position));
}

/// All engines, with one copy of the weights among the embedded ones.
std::vector<Contestant> start(const BenchFlags& flags, const pipeline::EngineOptions& common) {
  std::vector<Contestant> contestants;
  std::shared_ptr<worker::ProductEngine> products;
  for (const std::string& name : flags.schemes) {
    Contestant& contestant = contestants.emplace_back();
    contestant.kind = parse_contestant(name);
    pipeline::EngineOptions options = common;
    options.scheme.kind = contestant.kind;
    options.products = products;
    if (contestant.kind == remo::SchemeKind::plain) options.cluster.reset();
    contestant.embedded = !options.cluster;
    TerminalProgress progress;
    contestant.engine = std::make_unique<pipeline::Engine>(options, progress);
    check_fits(flags, contestant.engine->config());
    if (!contestant.engine->warning().empty())
      fmt::print(stderr, "talaria: warning: {}\n", contestant.engine->warning());
    if (contestant.embedded) products = contestant.engine->products();
  }
  return contestants;
}

/// Interrupts end what runs for as long as this lives; the engines must live longer.
class CancelOnInterrupt {
public:
  CancelOnInterrupt(InterruptWatch& interrupts, const std::vector<Contestant>& contestants)
      : interrupts_(interrupts) {
    interrupts.on_interrupt([&contestants] {
      for (const Contestant& contestant : contestants) contestant.engine->cancel_all();
    });
  }
  ~CancelOnInterrupt() { interrupts_.on_interrupt(nullptr); }
  CancelOnInterrupt(const CancelOnInterrupt&) = delete;
  CancelOnInterrupt& operator=(const CancelOnInterrupt&) = delete;

private:
  InterruptWatch& interrupts_;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// Figures of one contestant at one batch size, round by round.
struct Rounds {
  std::vector<double> prefill;
  std::vector<double> decode;
  std::vector<double> ttft;
  u64 stalls = 0;
};

/// The contestants take turns, so that a slow moment of the machine hits all of them. Nobody's
/// masks are made while somebody else is measured.
std::vector<Rounds> measure(const BenchFlags& flags, std::size_t batch, u32 max_rows,
                            std::vector<Contestant>& contestants) {
  const BenchLoad load{batch, flags.prefill, flags.decode};
  const auto settle = [&contestants] {
    for (Contestant& contestant : contestants) contestant.engine->wait_for_masks();
  };
  std::vector<Rounds> rounds(contestants.size());
  for (u32 round = 0; round < flags.rounds; ++round)
    for (std::size_t i = 0; i < contestants.size(); ++i) {
      settle();
      const DecodeFigures decode = measure_decode(*contestants[i].engine, load, max_rows);
      settle();
      const PrefillFigures prefill = measure_prefill(*contestants[i].engine, load);
      rounds[i].decode.push_back(decode.tokens_per_s);
      rounds[i].stalls += decode.mask_stalls;
      rounds[i].prefill.push_back(prefill.tokens_per_s);
      rounds[i].ttft.push_back(prefill.ttft_ms);
    }
  return rounds;
}

void measure_all(const BenchFlags& flags, const pipeline::EngineOptions& options,
                 std::vector<Contestant>& contestants, BenchReport& report) {
  for (Contestant& contestant : contestants) {
    contestant.bytes = measure_bytes(*contestant.engine);
    report.hint_bytes = std::max(report.hint_bytes, contestant.engine->hint_bytes());
  }
  for (const std::size_t batch : flags.batches) {
    const std::vector<Rounds> rounds = measure(flags, batch, options.batch.max_rows, contestants);
    for (std::size_t i = 0; i < contestants.size(); ++i) {
      BenchResult& result = report.results.emplace_back();
      result.scheme = to_string(contestants[i].kind);
      result.embedded = contestants[i].embedded;
      result.batch = batch;
      result.prefill = {median(rounds[i].prefill), median(rounds[i].ttft)};
      result.decode = {median(rounds[i].decode), rounds[i].stalls};
      result.bytes = contestants[i].bytes;
      result.limbs = limbs_of(contestants[i], options.scheme);
    }
  }
}

int bench(const BenchFlags& flags, InterruptWatch& interrupts) {
  flags.validate();
  config::PipelineConfig settings = flags.engine.resolve();
  settings.masking.scheme = to_string(remo::SchemeKind::lattice); // --schemes says which
  if (settings.model.empty() && flags.shape.empty())
    throw Error(Errc::usage, "no model: give --shape NAME or --model DIR");
  pipeline::EngineOptions options = flags.engine.engine_options(settings);
  if (options.cluster && !flags.shape.empty()) {
    fmt::print(stderr, "talaria: the workers of the file do not hold random weights: "
                       "everything is measured in this process\n");
    options.cluster.reset();
  }
  const auto loader = open_model(flags, settings, options.weights);
  options.model = loader;
  if (flags.prefill >= loader->config().max_position)
    throw Error(Errc::usage, fmt::format("--prefill {}: the model's context holds {} tokens",
                                         flags.prefill, loader->config().max_position));

  BenchReport report;
  report.model = describe(flags, settings, *loader);
  require_memory(flags, options, *loader, report.model);
  report.machine = probe_machine(
      options.threads != 0 ? options.threads : std::max(1U, std::thread::hardware_concurrency()));
  report.prefill = flags.prefill;
  report.decode = flags.decode;
  report.rounds = flags.rounds;
  report.micro_batches = options.batch.micro_batches;
  report.parameters = std::string(options.scheme.parameters->name);

  const auto nodes = options.cluster ? start_local_nodes(settings, interrupts) : nullptr;
  std::vector<Contestant> contestants = start(flags, options);
  {
    const CancelOnInterrupt cancel(interrupts, contestants);
    measure_all(flags, options, contestants, report);
  }
  if (flags.json)
    fmt::print("{}\n", to_json(report).dump());
  else
    print_table(report);
  return 0;
}

} // namespace

void add_bench_command(CLI::App& app, Action& chosen) {
  auto flags = std::make_shared<BenchFlags>();
  CLI::App* command = app.add_subcommand(
      "bench", "Measure schemes against each other: tokens per second, bytes, what bounds them");
  flags->engine.add_to_bench(*command);
  command
      ->add_option("--shape", flags->shape,
                   "random weights in the shape of llama-3.2-1b, llama-3.2-3b, llama-3-8b, "
                   "qwen2.5-0.5b or tiny")
      ->excludes("--model");
  command->add_option("--layers", flags->layers, "only so many layers of the --shape");
  command
      ->add_option("--schemes", flags->schemes,
                   "any of plain (int8 without protection: the yardstick), lattice, clear, hybrid; "
                   "default plain,lattice,clear")
      ->delimiter(',');
  command->add_option("--prefill", flags->prefill, "prompt tokens (default 256)");
  command->add_option("--decode", flags->decode, "tokens to generate (default 24)");
  command->add_option("--batch", flags->batches, "requests at a time, e.g. 1,8 (default 1)")
      ->delimiter(',');
  command->add_option("--rounds", flags->rounds, "times everything is measured (default 3)");
  command->add_flag("--json", flags->json, "print one JSON object");
  command->callback([flags, &chosen] {
    chosen = [flags](InterruptWatch& interrupts) { return bench(*flags, interrupts); };
  });
}

} // namespace talaria::cli
