#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <memory>
#include <numeric>

#include "cli/commands.hpp"
#include "cli/engine_flags.hpp"
#include "cli/local_nodes.hpp"
#include "cli/lora_flag.hpp"
#include "core/console.hpp"
#include "settings/engine/process_setup.hpp"

namespace talaria::cli {

namespace {

/// Keeps the logits of a prompt and the end of its request.
struct LogitsSink final : pipeline::RequestSink {
  std::vector<std::vector<float>> rows;
  std::promise<pipeline::Completion> done;

  void logits(u32 /*start*/, MatrixView<const float> view) override {
    for (std::size_t r = 0; r < view.rows; ++r)
      rows.emplace_back(view.row(r), view.row(r) + view.cols);
  }
  void finished(pipeline::Completion completion) override { done.set_value(std::move(completion)); }
};

void print_json(const std::vector<std::vector<float>>& rows) {
  // Written by hand because every float must appear in its shortest exact form.
  fmt::memory_buffer out;
  fmt::format_to(std::back_inserter(out), "{{\"logits\":[");
  for (std::size_t r = 0; r < rows.size(); ++r)
    fmt::format_to(std::back_inserter(out), "{}[{}]", r == 0 ? "" : ",", fmt::join(rows[r], ","));
  fmt::format_to(std::back_inserter(out), "]}}\n");
  write_out({out.data(), out.size()});
}

void print_best(const std::vector<std::vector<float>>& rows, const model::Tokenizer& tokenizer) {
  constexpr std::size_t kShown = 10;
  for (const auto& row : rows) {
    std::vector<u32> ids(row.size());
    std::iota(ids.begin(), ids.end(), 0U);
    const std::size_t shown = std::min(kShown, ids.size());
    std::partial_sort(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(shown), ids.end(),
                      [&](u32 a, u32 b) { return row[a] > row[b] || (row[a] == row[b] && a < b); });
    for (std::size_t i = 0; i < shown; ++i)
      print_out("{:>8}  {:>12.6f}  {}\n", ids[i], row[ids[i]], tokenizer.token(ids[i]));
    print_out("\n");
  }
}

struct LogitsFlags {
  EngineFlags engine;
  LoraFlag lora;
  std::string tokens;
  bool all = false;
  bool json = false;
};

int logits(const LogitsFlags& flags, InterruptWatch& interrupts) {
  const std::vector<u32> prompt = parse_token_list(flags.tokens, "--tokens");
  const config::PipelineConfig settings = flags.engine.resolve();
  pipeline::EngineOptions options = flags.engine.engine_options(settings);
  flags.lora.load(options);
  settings::set_up_process(settings);
  const auto nodes = start_local_nodes(settings, interrupts);
  TerminalProgress progress;
  pipeline::Engine engine(options, progress);
  print_warnings(engine);
  if (!options.scheme.verify) print_log("talaria: warning: {}", kUnverifiedWarning);
  const OnInterrupt cancel(interrupts, [&engine] { engine.cancel_all(); });

  auto sink = std::make_shared<LogitsSink>();
  auto done = sink->done.get_future();
  pipeline::Request request;
  request.prompt = prompt;
  request.adapter = flags.lora.of(engine);
  request.logits = flags.all ? pipeline::LogitsWanted::all : pipeline::LogitsWanted::last;
  engine.submit(std::move(request), sink);
  const pipeline::Completion completion = done.get();
  if (completion.error) throw *completion.error;
  if (completion.reason == pipeline::FinishReason::cancelled) return exit_status(Errc::cancelled);
  if (flags.json)
    print_json(sink->rows);
  else
    print_best(sink->rows, engine.tokenizer());
  engine.write_trace();
  return 0;
}

} // namespace

void add_logits_command(CLI::App& app, Action& chosen) {
  auto flags = std::make_shared<LogitsFlags>();
  CLI::App* command = app.add_subcommand("logits", "Logits of the last (or every) prompt position");
  flags->engine.add_to(*command);
  flags->lora.add_to(*command);
  command->add_option("--tokens", flags->tokens, "prompt token ids: 1,2,3")->required();
  command->add_flag("--all", flags->all, "of every position, not only the last");
  command->add_flag("--json", flags->json, "print {\"logits\":[[...]]} with exact fp32 values");
  command->callback([flags, &chosen] {
    chosen = [flags](InterruptWatch& interrupts) { return logits(*flags, interrupts); };
  });
}

} // namespace talaria::cli
