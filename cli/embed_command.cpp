#include <fmt/format.h>
#include <fmt/ranges.h>

#include <future>
#include <memory>
#include <utility>
#include <vector>

#include "cli/commands.hpp"
#include "cli/engine_flags.hpp"
#include "cli/local_nodes.hpp"
#include "core/console.hpp"
#include "settings/engine/process_setup.hpp"

namespace talaria::cli {

namespace {

/// Keeps the end of one text's request.
struct EmbedSink final : pipeline::RequestSink {
  std::promise<pipeline::Completion> done;
  void finished(pipeline::Completion completion) override { done.set_value(std::move(completion)); }
};

struct EmbedFlags {
  EngineFlags engine;
  std::vector<std::string> texts;
  u32 dimensions = 0;
};

/// All of them at once, so that they share micro-batches.
std::vector<std::future<pipeline::Completion>> submit(pipeline::Engine& engine,
                                                      const EmbedFlags& flags) {
  std::vector<std::future<pipeline::Completion>> answers;
  for (const std::string& text : flags.texts) {
    const auto sink = std::make_shared<EmbedSink>();
    answers.push_back(sink->done.get_future());
    pipeline::Request request;
    request.prompt = engine.tokenizer().encode(text, /*add_special_tokens=*/true);
    request.pooled = true;
    request.dimensions = flags.dimensions;
    engine.submit(std::move(request), sink);
  }
  return answers;
}

int embed(const EmbedFlags& flags, InterruptWatch& interrupts) {
  config::PipelineConfig settings = flags.engine.resolve();
  if (settings.task == "auto") settings.task = "embed";
  const pipeline::EngineOptions options = flags.engine.engine_options(settings);
  settings::set_up_process(settings);
  const auto nodes = start_local_nodes(settings, interrupts);
  TerminalProgress progress;
  pipeline::Engine engine(options, progress);
  print_warnings(engine);
  if (!options.scheme.verify) print_log("talaria: warning: {}", kUnverifiedWarning);
  const OnInterrupt cancel(interrupts, [&engine] { engine.cancel_all(); });
  for (auto& answer : submit(engine, flags)) {
    const pipeline::Completion completion = answer.get();
    if (completion.error) throw *completion.error;
    if (completion.reason == pipeline::FinishReason::cancelled) return exit_status(Errc::cancelled);
    print_out("[{}]\n", fmt::join(completion.pooled, ","));
  }
  engine.write_trace();
  return 0;
}

} // namespace

void add_embed_command(CLI::App& app, Action& chosen) {
  auto flags = std::make_shared<EmbedFlags>();
  CLI::App* command = app.add_subcommand(
      "embed", "Embeddings of texts: for each a line, a JSON list of exact fp32 values");
  flags->engine.add_to(*command);
  command->add_option("--dimensions", flags->dimensions,
                      "only so many of the first numbers, if the model may be cut");
  command->add_option("TEXT", flags->texts, "the texts")->required();
  command->callback([flags, &chosen] {
    chosen = [flags](InterruptWatch& interrupts) { return embed(*flags, interrupts); };
  });
}

} // namespace talaria::cli
