#include <fmt/format.h>

#include <future>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/cluster_trace.hpp"
#include "cli/commands.hpp"
#include "cli/engine_flags.hpp"
#include "cli/local_nodes.hpp"
#include "cli/lora_flag.hpp"
#include "cli/prompts.hpp"
#include "cli/run_report.hpp"
#include "core/console.hpp"
#include "settings/engine/process_setup.hpp"

namespace talaria::cli {

namespace {

struct RunFlags {
  EngineFlags engine;
  LoraFlag lora;
  PromptFlags prompts;
  SamplingFlags sampling;
  u32 max_tokens = 256;
  bool ignore_eos = false;
  std::vector<std::string> stops;
  bool json = false;
  bool stats = false;
};

/// Streams one answer to standard output, or keeps it for the end.
class AnswerSink final : public pipeline::RequestSink {
public:
  /// @param engine  of which everything is cancelled when the text cannot be written
  AnswerSink(bool stream, pipeline::Engine& engine) : stream_(stream), engine_(engine) {}
  void text(std::string_view piece) override {
    if (!stream_ || output_failure_) return;
    try {
      write_out(piece);
    } catch (const Error&) { // on a thread of the engine: reported with the completion
      output_failure_ = std::current_exception();
      engine_.cancel_all();
    }
  }
  void finished(pipeline::Completion completion) override {
    if (output_failure_)
      done_.set_exception(output_failure_);
    else
      done_.set_value(std::move(completion));
  }
  std::future<pipeline::Completion> completion() { return done_.get_future(); }

private:
  bool stream_;
  pipeline::Engine& engine_;
  std::exception_ptr output_failure_;
  std::promise<pipeline::Completion> done_;
};

/// @param date  what a chat template is told, unless a flag says otherwise
int answer(const RunFlags& flags, const PromptTexts& texts, const std::string& date,
           const pipeline::EngineOptions& options, InterruptWatch& interrupts) {
  TerminalProgress progress;
  pipeline::Engine engine(options, progress);
  print_warnings(engine);
  if (!options.scheme.verify) print_log("talaria: warning: {}", kUnverifiedWarning);
  const OnInterrupt cancel(interrupts, [&engine] { engine.cancel_all(); });

  const std::vector<std::vector<u32>> prompts = flags.prompts.encode(texts, engine, date);
  const bool single = prompts.size() == 1;
  std::vector<std::future<pipeline::Completion>> pending;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    pipeline::Request request;
    request.prompt = prompts[i];
    request.max_tokens = flags.max_tokens;
    request.ignore_eos = flags.ignore_eos;
    request.stops = flags.stops;
    request.sampling = flags.sampling.resolve(engine.generation_config());
    request.adapter = flags.lora.of(engine);
    auto sink = std::make_shared<AnswerSink>(single && !flags.json, engine);
    pending.push_back(sink->completion());
    engine.submit(std::move(request), sink);
  }

  std::vector<pipeline::Completion> completions;
  for (auto& answer : pending) {
    completions.push_back(answer.get());
    if (!single && !flags.json) print_batch_answer(completions.size(), completions.back());
  }
  if (const auto error = engine.broken()) throw *error;
  if (options.padding.rounds > 1) engine.wait_until_idle();
  if (single && !flags.json) print_out("\n");

  const RunReport report{options,
                         prompts,
                         completions,
                         engine.workers(),
                         engine.last_seen(),
                         engine.mask_stats(),
                         engine.padding_cost(),
                         engine.draft_counts(),
                         engine.draft_counts(pipeline::DraftKind::model)};
  if (flags.json) print_out("{}\n", to_json(report).dump());
  if (flags.stats) print_account(report);
  engine.write_trace();
  return exit_status_of(completions);
}

int run(const RunFlags& flags, InterruptWatch& interrupts) {
  if (flags.max_tokens == 0)
    throw Error(Errc::usage, "--max-tokens is 0: nothing to generate; ask for at least one token");
  const PromptTexts texts = flags.prompts.read();
  config::PipelineConfig settings = flags.engine.resolve();
  pipeline::EngineOptions options = flags.engine.engine_options(settings);
  flags.lora.load(options);
  settings::set_up_process(settings);
  const ClusterTrace trace(options.trace, settings);
  const auto nodes = start_local_nodes(settings, interrupts);
  const int status = answer(flags, texts, settings.chat_date, options, interrupts);
  if (nodes) nodes->stop();
  trace.merge();
  return status;
}

} // namespace

void add_run_command(CLI::App& app, Action& chosen) {
  auto flags = std::make_shared<RunFlags>();
  CLI::App* command = app.add_subcommand("run", "Answer prompts; text streams as it comes");
  flags->engine.add_to(*command);
  flags->lora.add_to(*command);
  flags->prompts.add_to(*command);
  flags->sampling.add_to(*command);
  command->add_option("--max-tokens", flags->max_tokens,
                      "tokens to generate at most (default 256)");
  command->add_flag("--ignore-eos", flags->ignore_eos, "continue past end-of-sequence tokens");
  command->add_option("--stop", flags->stops, "end the answer before this text (repeatable)")
      ->allow_extra_args(false);
  command->add_flag("--json", flags->json, "print one JSON object at the end");
  command->add_flag("--stats", flags->stats,
                    "account of the run on standard error, with a sample of "
                    "what the worker saw");
  command->callback([flags, &chosen] {
    chosen = [flags](InterruptWatch& interrupts) { return run(*flags, interrupts); };
  });
}

} // namespace talaria::cli
