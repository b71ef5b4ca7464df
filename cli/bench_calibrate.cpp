#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/bench_measure.hpp"
#include "cli/bench_modes.hpp"
#include "cli/machine_rates.hpp"
#include "core/console.hpp"
#include "core/private_file.hpp"
#include "planner/model_costs.hpp"
#include "planner/rates.hpp"

namespace talaria::cli {

namespace {

constexpr double kMillisecond = 1e-3;
constexpr std::size_t kAnswersAtOnce = 8;

/// Seconds of CPU time of the enclave for a row, without masks and products.
struct RowTimes {
  double prompt = 0, answer = 0;
};

RowTimes measure_rows(pipeline::Engine& engine, const BenchFlags& flags, u32 max_rows) {
  std::vector<double> prompts, answers;
  const BenchLoad load{kAnswersAtOnce, flags.prefill, flags.decode, flags.context};
  (void)measure_prefill(engine, {1, flags.prefill, flags.decode, flags.context});
  for (u32 round = 0; round < *flags.rounds; ++round) {
    prompts.push_back(
        measure_prefill(engine, {1, flags.prefill, flags.decode, flags.context}).cost.enclave_ms);
    answers.push_back(measure_decode(engine, load, max_rows).cost.enclave_ms);
  }
  return {median(std::move(prompts)) * kMillisecond, median(std::move(answers)) * kMillisecond};
}

/// How many times its assumption what is done for each value takes: what is left of a row's time
/// without attention and the fixed costs of a product. At least a fifth, should noise have eaten
/// it.
double factor(double row_s, double other_s, double assumed_s) {
  return std::max(0.2, (row_s - other_s) / assumed_s);
}

/// Putting masks on and taking them off, with all that the enclave does around it, by two fits: of
/// prompts (with the checks), then of answers.
void fit_values(planner::Rates& rates, const planner::ModelCosts& model, const RowTimes& rows,
                const BenchFlags& flags, const pipeline::EngineOptions& options) {
  const planner::MatrixSums &body = model.body, all = model.all();
  const double steps = std::max(1.0, double(flags.prefill) / options.batch.prefill_chunk);
  const double attention =
      flags.prefill / 2.0 * model.prompt_attention_ops / (rates.attention_gflops * kBillion);
  const double exchanges =
      body.products * steps * rates.product_cpu_us * kMicrosecond / flags.prefill;
  const double of_prompts = factor(rows.prompt, attention + exchanges,
                                   (body.inputs * (rates.hide_prompt_ns + rates.check_ns) +
                                    body.outputs * (rates.open_prompt_ns + rates.check_ns)) *
                                       kNanosecond);
  for (double* rate : {&rates.hide_prompt_ns, &rates.open_prompt_ns, &rates.check_ns})
    *rate *= of_prompts;
  const double per_batch = double(kAnswersAtOnce) / options.batch.micro_batches;
  const double fixed = all.products * rates.product_cpu_us * kMicrosecond / per_batch +
                       (all.inputs + all.outputs) * rates.check_ns * kNanosecond;
  const double of_answers = factor(
      rows.answer, fixed,
      (all.inputs * rates.hide_answer_ns + all.outputs * rates.open_answer_ns) * kNanosecond);
  rates.hide_answer_ns *= of_answers;
  rates.open_answer_ns *= of_answers;
  for (const char* name :
       {"hide_prompt_ns", "open_prompt_ns", "check_ns", "hide_answer_ns", "open_answer_ns"})
    rates.measured.emplace_back(name);
}

void print_rates(const planner::Rates& rates, const std::string& machine) {
  print_out("{}\n", machine);
  const nlohmann::json values = planner::rates_json(rates), assumed = planner::rates_json({});
  print_out("{:<28}{:>12}{:>12}\n", "", "measured", "assumed");
  for (const std::string& name : rates.measured)
    print_out("{:<28}{:>12.3g}{:>12.3g}\n", name, values[name].get<double>(),
              assumed[name].get<double>());
}

} // namespace

int bench_calibrate(const BenchFlags& flags, const BenchSetup& setup, InterruptWatch& interrupts) {
  planner::Rates rates;
  const double core_reads = measure_core(rates, *setup.options.scheme.parameters);
  measure_wire(rates);
  pipeline::EngineOptions options = setup.options;
  options.scheme.kind = remo::SchemeKind::lattice;
  options.cluster.reset();
  const auto engine = start_engine(options, flags);
  const OnInterrupt cancel(interrupts, [&engine] { engine->cancel_all(); });
  const RowTimes rows = measure_rows(*engine, flags, options.batch.max_rows);
  fit_values(rates, planner::model_costs(engine->plan(), *setup.options.scheme.parameters, "bf16"),
             rows, flags, options);
  const MachineFigures probed = probe_machine(setup.threads);
  const std::string machine =
      fmt::format("{} kernels, {} threads, reads {:.1f} GB/s; {}, {} layers, {}", probed.kernels,
                  probed.threads, probed.read_bytes_per_s / kBillion, setup.model.name,
                  setup.model.layers, setup.options.scheme.parameters->name);
  const std::string text = planner::calibration_text(rates, machine, core_reads);
  if (!flags.output.empty()) replace_private_file(flags.output, text);
  if (flags.json || flags.output.empty())
    print_out("{}", text);
  else
    print_rates(rates, machine);
  return 0;
}

} // namespace talaria::cli
