#include "cli/bench_setup.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "core/console.hpp"
#include "core/machine_memory.hpp"
#include "core/progress.hpp"
#include "launch/supervisor.hpp"
#include "model/weights/synthetic.hpp"
#include "settings/engine/process_setup.hpp"

namespace talaria::cli {

namespace {

void require_range(std::size_t value, std::size_t low, std::size_t high, const char* flag) {
  if (value < low || value > high)
    throw Error(Errc::usage,
                fmt::format("{} must be between {} and {}; got {}", flag, low, high, value));
}

std::shared_ptr<const pipeline::ModelLoader> open_model(const BenchFlags& flags,
                                                        const config::PipelineConfig& settings,
                                                        model::WeightFormat format) {
  if (flags.shape.empty())
    return std::make_shared<const pipeline::ModelLoader>(settings.model, format,
                                                         settings.model_sha256);
  const arch::ModelPlan plan = model::shape_plan(flags.shape, flags.layers);
  return std::make_shared<const pipeline::ModelLoader>(plan, model::synthetic_tensors(plan),
                                                       format);
}

BenchModel describe(const BenchFlags& flags, const config::PipelineConfig& settings,
                    const pipeline::ModelLoader& loader) {
  const arch::ModelPlan& plan = loader.plan();
  BenchModel out;
  out.name = flags.shape.empty() ? settings.model.filename().string()
                                 : flags.shape + " shape, random weights";
  out.layers = plan.layer_count();
  out.weights = to_string(loader.format());
  for (const arch::Linear& linear : plan.linears)
    out.weight_bytes += model::weight_bytes(linear, loader.format());
  out.experts = arch::expert_cost(plan);
  if (plan.linears.has_head())
    out.head_bytes = model::weight_bytes(plan.linears.head(), loader.format());
  return out;
}

/// Engines that hold masks at the same time.
std::size_t mask_pools(const BenchFlags& flags, const pipeline::EngineOptions& options) {
  const auto masked =
      std::count_if(flags.schemes.begin(), flags.schemes.end(),
                    [](const std::string& name) { return name == "lattice" || name == "hybrid"; });
  const bool two_of_each = flags.tune || (flags.wire && options.cluster);
  return static_cast<std::size_t>(masked) * (two_of_each ? 2 : 1);
}

/// A shape whose hints do not fit would end in the hands of the kernel's out-of-memory killer.
void require_memory(const BenchFlags& flags, const pipeline::EngineOptions& options,
                    const pipeline::ModelLoader& loader, const BenchModel& model) {
  std::size_t need = options.cluster ? 0 : model.weight_bytes;
  if (std::count(flags.schemes.begin(), flags.schemes.end(), "lattice") > 0) {
    const auto& p = *options.scheme.parameters;
    const auto word = static_cast<std::size_t>(p.modulus().word_bytes);
    std::size_t inputs = 0;
    std::size_t columns = 0;
    for (const arch::Linear& linear : loader.plan().linears) {
      inputs += linear.d_in;
      columns += model::columns_of(linear, loader.format());
    }
    const std::size_t masks_ahead = options.pool.rows_ahead * (inputs + columns) * word;
    need += columns * p.dimension() * word +
            std::min(masks_ahead, options.pool.memory_bytes) * mask_pools(flags, options);
  }
  const std::size_t available = available_memory();
  if (available != 0 && need > available)
    throw Error(Errc::usage,
                fmt::format("weights, hints and masks take {:.1f} GB, {:.1f} GB are available: "
                            "measure fewer layers (--layers) or schemes (--schemes)",
                            static_cast<double>(need) / 1e9, static_cast<double>(available) / 1e9));
}

/// Workers that bench starts itself make the weights of a shape as it does; those that are up
/// already hold another model.
void give_random_weights(BenchSetup& setup, const BenchFlags& flags) {
  auto& workers = setup.settings.workers;
  if (launch::idle_local_nodes(setup.settings).size() == workers.size()) {
    setup.settings.model = model::random_model_path(flags.shape, flags.layers);
    for (auto& worker : workers) worker.model.clear();
    return;
  }
  print_log("talaria: workers of the file are up already, or on other machines, and do "
            "not hold random weights: everything is measured in this process");
  setup.options.cluster.reset();
}

} // namespace

remo::SchemeKind parse_candidate(const std::string& name) {
  return name == to_string(remo::SchemeKind::plain) ? remo::SchemeKind::plain
                                                    : remo::parse_scheme(name);
}

void BenchFlags::complete() {
  if (trace_overhead + tune + calibrate > 1)
    throw Error(Errc::usage,
                "--trace-overhead, --tune and --calibrate measure different things: give one");
  if (!output.empty() && !tune && !calibrate)
    throw Error(Errc::usage, "-o is for --tune and --calibrate");
  if (wire && (trace_overhead || tune || calibrate))
    throw Error(Errc::usage,
                "--wire is for comparing schemes, not for --tune, --trace-overhead or --calibrate");
  const bool one_scheme = trace_overhead || tune || calibrate;
  if (calibrate && shape.empty() && !model_given) {
    shape = "llama-3.2-1b"; // widths of a real model; two layers of it fit anywhere
    layers = 2;
  }
  if (schemes.empty())
    schemes = one_scheme ? std::vector<std::string>{"lattice"}
                         : std::vector<std::string>{"plain", "lattice", "clear"};
  if (batches.empty())
    batches = tune ? std::vector<std::size_t>{1, 8} : std::vector<std::size_t>{1};
  if (!rounds) rounds = trace_overhead ? 21 : tune ? 5 : 3;
  if (tune && schemes.size() > 1)
    throw Error(Errc::usage, "--tune finds the best settings of one scheme: give one --schemes");
  for (const std::string& name : schemes) parse_candidate(name);
  for (const std::size_t batch : batches) require_range(batch, 1, 1024, "--batch");
  require_range(prefill, 1, 1 << 20, "--prefill");
  require_range(decode, trace_overhead ? kStepGroup : 1, 1 << 20, "--decode");
  require_range(*rounds, 1, 1000, "--rounds");
  if (layers > 0 && shape.empty())
    throw Error(Errc::usage,
                "--layers takes layers off a --shape; a model folder is measured whole");
}

std::string BenchFlags::batches_text() const {
  return fmt::format("{}", fmt::join(batches, ", "));
}

BenchSetup set_up(const BenchFlags& flags) {
  BenchSetup setup;
  setup.settings = flags.engine.resolve();
  auto& settings = setup.settings;
  settings.masking.scheme = to_string(remo::SchemeKind::lattice); // --schemes says which
  if (settings.model.empty() && flags.shape.empty())
    throw Error(Errc::usage, "no model: give --shape NAME or --model DIR");
  setup.options = flags.engine.engine_options(settings);
  settings::set_up_process(settings);
  if (flags.wire && !setup.options.cluster)
    throw Error(Errc::usage, "--wire compares with workers: give a --config that has some");
  if (setup.options.cluster && !flags.shape.empty()) give_random_weights(setup, flags);
  setup.loader = open_model(flags, settings, setup.options.weights);
  setup.options.model = setup.loader;
  if (flags.prefill >= setup.loader->plan().max_position)
    throw Error(Errc::usage, fmt::format("--prefill {}: the model's context holds {} tokens",
                                         flags.prefill, setup.loader->plan().max_position));
  setup.model = describe(flags, settings, *setup.loader);
  if (!settings.masking.memory) // auto: what is one engine's share is for all of them here
    setup.options.pool.memory_bytes /= std::max<std::size_t>(1, mask_pools(flags, setup.options));
  require_memory(flags, setup.options, *setup.loader, setup.model);
  setup.threads = setup.options.threads != 0 ? setup.options.threads
                                             : std::max(1U, std::thread::hardware_concurrency());
  if (setup.options.cluster)
    setup.workers_are_here =
        std::all_of(settings.workers.begin(), settings.workers.end(), [](const auto& worker) {
          return worker.start == config::WorkerNode::Start::local;
        });
  return setup;
}

std::unique_ptr<pipeline::Engine> start_engine(const pipeline::EngineOptions& options,
                                               const BenchFlags& flags) {
  TerminalProgress progress;
  auto engine = std::make_unique<pipeline::Engine>(options, progress);
  const u32 context = engine->plan().max_position;
  const u32 prompt = std::max(flags.prefill, flags.context);
  if (prompt + flags.decode > context)
    throw Error(Errc::usage, fmt::format("--{} {} and --decode {} make {} tokens; the model's "
                                         "context holds {}",
                                         prompt == flags.prefill ? "prefill" : "context", prompt,
                                         flags.decode, prompt + flags.decode, context));
  if (!engine->warning().empty()) print_log("talaria: warning: {}", engine->warning());
  return engine;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

} // namespace talaria::cli
