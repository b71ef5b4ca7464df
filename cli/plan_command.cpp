#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/small_file.hpp"
#include "core/console.hpp"
#include "core/error.hpp"
#include "model/weights/plan_file.hpp"
#include "model/weights/synthetic.hpp"
#include "planner/plan.hpp"

namespace talaria::cli {

namespace {

struct PlanFlags {
  std::string machines, model, shape;
  planner::PlanRequest request;
  double requests = 0;
  u32 prompt = 0, answer = 0;
  bool json = false;
};

int plan_command(PlanFlags& flags) {
  if (flags.model.empty() == flags.shape.empty())
    throw Error(Errc::usage, "expected either --model or --shape");
  planner::Fleet fleet = planner::parse_fleet(
      read_small_file(flags.machines, "a file of machines (docs/planning.md)"), flags.machines);
  if (flags.requests > 0) fleet.load.requests_per_second = flags.requests;
  if (flags.prompt > 0) fleet.load.prompt_tokens = flags.prompt;
  if (flags.answer > 0) fleet.load.answer_tokens = flags.answer;
  flags.request.model_name = flags.shape.empty() ? flags.model : flags.shape;
  flags.request.model =
      flags.shape.empty() ? model::load_model_plan(flags.model) : model::shape_plan(flags.shape, 0);
  const planner::Plan plan = planner::make_plan(fleet, flags.request);
  if (flags.json)
    print_out("{}\n", planner::to_json(plan).dump(-1, ' ', false,
                                                  nlohmann::json::error_handler_t::replace));
  else
    print_out("{}", planner::to_text(plan));
  return 0;
}

} // namespace

void add_plan_command(CLI::App& app, Action& chosen) {
  auto flags = std::make_shared<PlanFlags>();
  CLI::App* command = app.add_subcommand(
      "plan", "What a cluster will do and cost, and whether confidential outsourcing pays");
  command->add_option("MACHINES", flags->machines, "file of machines and load (docs/planning.md)")
      ->required();
  command->add_option("--model", flags->model, "model folder with config.json, or GGUF file");
  command->add_option("--shape", flags->shape,
                      "llama-3.2-1b, llama-3.2-3b, llama-3-8b, llama-3-70b, qwen2.5-0.5b or tiny");
  command->add_option("--requests", flags->requests, "requests/s, in the place of the file's")
      ->check(CLI::PositiveNumber);
  command->add_option("--prompt-tokens-each", flags->prompt, "tokens of a prompt, the same");
  command->add_option("--answer-tokens-each", flags->answer, "tokens of an answer, the same");
  command->add_option("--parameters", flags->request.parameters,
                      "lattice parameters (default S48)");
  command->add_option("--kv-format", flags->request.kv_format, "fp32, bf16 (default) or int8")
      ->check(CLI::IsMember({"fp32", "bf16", "int8"}));
  command->add_option("--max-rows", flags->request.max_rows, "pipeline.max_rows (default 256)")
      ->check(CLI::Range(1, 65536));
  command
      ->add_option("--prefill-chunk", flags->request.chunk, "pipeline.prefill_chunk (default 128)")
      ->check(CLI::Range(1, 65536));
  command->add_flag("--json", flags->json, "print one JSON object");
  command->callback(
      [flags, &chosen] { chosen = [flags](InterruptWatch&) { return plan_command(*flags); }; });
}

} // namespace talaria::cli
