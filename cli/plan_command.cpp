#include <fmt/format.h>

#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/small_file.hpp"
#include "core/console.hpp"
#include "core/error.hpp"
#include "core/private_file.hpp"
#include "model/weights/plan_file.hpp"
#include "model/weights/synthetic.hpp"
#include "planner/clouds.hpp"
#include "planner/page.hpp"

namespace talaria::cli {

namespace {

struct PlanFlags {
  std::string machines, model, shape, calibration, trace, page;
  planner::PlanRequest request;
  planner::SimulationOptions simulation;
  double requests = 0, trace_speed = 1;
  u32 prompt = 0, answer = 0, layers = 0;
  std::size_t simulated = 0;
  bool json = false, simulate = false, list_instances = false;
};

int list_instances() {
  constexpr const char* kRow = "{:<26}{:<9}{:>6}{:>8}{:>9}{:>8}  {:<11}{:>8}  {}\n";
  print_out(kRow, "instance", "attests", "cores", "GiB", "GB/s", "Gbit/s", "GPUs", "USD/h", "from");
  const auto known = [](double value) {
    return value > 0 ? fmt::format("{:.0f}", value) : std::string("-");
  };
  for (const planner::Instance& i : planner::known_instances())
    print_out(kRow, i.name, i.confidential.empty() ? "-" : i.confidential, i.vcpus / 2,
              known(i.memory_gib), known(i.memory_gb_per_s), known(i.link_gbit_per_s),
              i.gpus == 0 ? "-" : fmt::format("{} {}", i.gpus, i.gpu),
              i.price_per_hour ? fmt::format("{:.2f}", *i.price_per_hour) : "-", i.source);
  return 0;
}

/// The requests of --trace, at --trace-speed.
std::vector<planner::Arrival> traced_requests(const PlanFlags& flags) {
  constexpr std::size_t kMost = 1'000'000;
  std::ifstream in(flags.trace, std::ios::binary);
  if (!in || std::filesystem::is_directory(flags.trace))
    throw Error(Errc::io, flags.trace + ": cannot be read; expected a trace of requests "
                                        "(docs/planning.md)");
  auto requests = planner::read_load_trace(
      in, flags.trace, flags.simulated > 0 ? std::min(flags.simulated, kMost) : kMost);
  for (planner::Arrival& request : requests) request.time /= flags.trace_speed;
  return requests;
}

/// As many as can be simulated in some seconds, or were asked for.
std::size_t simulated_requests(const PlanFlags& flags, const planner::Plan& plan) {
  if (flags.simulated > 0) return flags.simulated;
  return planner::affordable_requests(plan.confidential.system, plan.fleet.load, plan.batching);
}

void simulate(const PlanFlags& flags, planner::Plan& plan, std::vector<planner::Arrival> requests) {
  std::string from;
  if (requests.empty()) {
    requests = planner::poisson_arrivals(plan.fleet.load, simulated_requests(flags, plan),
                                         flags.simulation.seed);
    from = fmt::format("{} requests of a Poisson process", requests.size());
  } else {
    const std::size_t all = requests.size();
    requests.resize(std::min(all, simulated_requests(flags, plan)));
    from = fmt::format("the first {} of {} requests of {}, at {:g} times its speed",
                       requests.size(), all, flags.trace, flags.trace_speed);
  }
  planner::simulate_plan(plan, requests, from, flags.simulation);
}

int plan_command(PlanFlags& flags) {
  if (flags.list_instances) return list_instances();
  if (flags.machines.empty())
    throw Error(Errc::usage, "expected a file of machines, or --list-instances");
  if (flags.model.empty() == flags.shape.empty())
    throw Error(Errc::usage, "expected either --model or --shape");
  planner::Fleet fleet = planner::parse_fleet(
      read_small_file(flags.machines, "a file of machines (docs/planning.md)"), flags.machines);
  std::vector<planner::Arrival> requests;
  if (!flags.trace.empty()) {
    requests = traced_requests(flags);
    fleet.load = planner::workload_of(requests);
  }
  if (flags.requests > 0) fleet.load.requests_per_second = flags.requests;
  if (flags.prompt > 0) fleet.load.prompt_tokens = flags.prompt;
  if (flags.answer > 0) fleet.load.answer_tokens = flags.answer;
  if (!flags.calibration.empty())
    flags.request.rates = planner::read_calibration(
        read_small_file(flags.calibration, "a file of talaria bench --calibrate"),
        flags.calibration);
  flags.request.model_name = flags.shape.empty() ? flags.model : flags.shape;
  flags.request.model = flags.shape.empty() ? model::load_model_plan(flags.model)
                                            : model::shape_plan(flags.shape, flags.layers);
  const auto plan = planner::make_plan(fleet, flags.request);
  if (flags.simulate || !flags.trace.empty() || flags.simulated > 0)
    simulate(flags, *plan, std::move(requests));
  if (!flags.page.empty()) replace_private_file(flags.page, planner::to_page(*plan));
  if (flags.json)
    print_out("{}\n", planner::to_json(*plan).dump(-1, ' ', false,
                                                   nlohmann::json::error_handler_t::replace));
  else
    print_out("{}", planner::to_text(*plan));
  return 0;
}

void add_load(CLI::App& command, PlanFlags& flags) {
  CLI::Option* requests =
      command.add_option("--requests", flags.requests, "requests/s, in the place of the file's")
          ->check(CLI::PositiveNumber);
  command.add_option("--prompt-tokens-each", flags.prompt, "tokens of a prompt, the same")
      ->check(CLI::Range(1, 10'000'000));
  command.add_option("--answer-tokens-each", flags.answer, "tokens of an answer, the same")
      ->check(CLI::Range(1, 10'000'000));
  CLI::Option* trace = command
                           .add_option("--trace", flags.trace,
                                       "simulate the requests of a published trace (Azure, "
                                       "BurstGPT, Mooncake), whose averages are the load")
                           ->excludes(requests)
                           ->excludes("--prompt-tokens-each")
                           ->excludes("--answer-tokens-each");
  command.add_option("--trace-speed", flags.trace_speed, "so many times as fast (default 1)")
      ->check(CLI::Range(1e-6, 1e6))
      ->needs(trace);
  command.add_flag("--simulate", flags.simulate,
                   "let single requests through the machines, event by event");
  command
      .add_option("--simulated-requests", flags.simulated,
                  "how many (default: what takes some seconds)")
      ->check(CLI::Range(1, 1'000'000));
  command.add_option("--seed", flags.simulation.seed, "of arrivals and their ways (default 1)");
}

} // namespace

void add_plan_command(CLI::App& app, Action& chosen) {
  auto flags = std::make_shared<PlanFlags>();
  CLI::App* command = app.add_subcommand(
      "plan", "What a cluster will do and cost, and whether confidential outsourcing pays");
  command->add_option("MACHINES", flags->machines, "file of machines and load (docs/planning.md)");
  command->add_option("--model", flags->model, "model folder with config.json, or GGUF file");
  command->add_option("--shape", flags->shape,
                      "llama-3.2-1b, llama-3.2-3b, llama-3-8b, llama-3-70b, qwen2.5-0.5b or tiny");
  command->add_option("--layers", flags->layers, "only so many layers of the --shape")
      ->needs("--shape");
  add_load(*command, *flags);
  command->add_option("--parameters", flags->request.parameters,
                      "lattice parameters (default S48)");
  command->add_option("--kv-format", flags->request.kv_format, "fp32, bf16 (default) or int8")
      ->check(CLI::IsMember({"fp32", "bf16", "int8"}));
  planner::Batching& batching = flags->request.batching;
  command->add_option("--max-rows", batching.max_rows, "pipeline.max_rows (default 256)")
      ->check(CLI::Range(1, 65536));
  command->add_option("--prefill-chunk", batching.chunk, "pipeline.prefill_chunk (default 128)")
      ->check(CLI::Range(1, 65536));
  command
      ->add_option("--micro-batches", batching.micro_batches,
                   "pipeline.micro_batches (default: the fastest of 1, 2, 4, 8 and 16)")
      ->check(CLI::Range(1, 64));
  command->add_option("--calibration", flags->calibration,
                      "file of `talaria bench --calibrate`, in the place of assumptions");
  command->add_option("-o,--html", flags->page, "write the plan with plots as one HTML page");
  command->add_flag("--json", flags->json, "print one JSON object");
  command->add_flag("--list-instances", flags->list_instances,
                    "print the machines of clouds that `instance:` may name");
  command->callback(
      [flags, &chosen] { chosen = [flags](InterruptWatch&) { return plan_command(*flags); }; });
}

} // namespace talaria::cli
