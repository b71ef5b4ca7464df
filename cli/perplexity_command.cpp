#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <vector>

#include "cli/commands.hpp"
#include "cli/engine_flags.hpp"
#include "cli/local_nodes.hpp"
#include "core/console.hpp"
#include "settings/engine/process_setup.hpp"

namespace talaria::cli {

namespace {

struct PerplexityFlags {
  EngineFlags engine;
  std::string file;
  std::size_t window = 512;
  u32 batch = 4;
  bool json = false;
};

struct ScoresSink final : pipeline::RequestSink {
  std::promise<pipeline::Completion> done;
  void finished(pipeline::Completion completion) override { done.set_value(std::move(completion)); }
};

std::string read_text(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(in), {});
  if (!in.is_open() || in.bad() || std::filesystem::is_directory(file))
    throw Error(Errc::io, fmt::format("{}: cannot be read", file));
  return text;
}

/// Sum of -ln p, and over how many tokens.
struct Likelihood {
  double nats = 0;
  std::size_t tokens = 0;

  void add(const pipeline::Completion& completion, std::size_t from) {
    const auto& scores = completion.prompt_scores;
    for (std::size_t i = from; i < scores.size(); ++i) nats -= scores[i].chosen.logprob;
    tokens += scores.size() - from;
  }
};

/// The text in windows that do not overlap. With a BOS in front, every token of the text is scored;
/// a model without one leaves out the first of each window.
Likelihood measure(pipeline::Engine& engine, const std::vector<u32>& ids,
                   const std::vector<u32>& prefix, const PerplexityFlags& flags) {
  const std::size_t step = flags.window - prefix.size();
  Likelihood sum;
  for (std::size_t begin = 0; begin < ids.size();) {
    std::vector<std::shared_ptr<ScoresSink>> sinks;
    for (u32 i = 0; i < flags.batch && begin < ids.size(); ++i, begin += step) {
      pipeline::Request request;
      request.prompt = prefix;
      const std::size_t end = std::min(ids.size(), begin + step);
      request.prompt.insert(request.prompt.end(), ids.begin() + static_cast<std::ptrdiff_t>(begin),
                            ids.begin() + static_cast<std::ptrdiff_t>(end));
      if (request.prompt.size() < 2) break;
      request.scores.prompt = 0;
      sinks.push_back(std::make_shared<ScoresSink>());
      engine.submit(std::move(request), sinks.back());
    }
    for (const auto& sink : sinks) {
      const pipeline::Completion completion = sink->done.get_future().get();
      if (completion.error) throw *completion.error;
      if (completion.reason == pipeline::FinishReason::cancelled)
        throw Error(Errc::cancelled, "interrupted");
      sum.add(completion, prefix.empty() ? 0 : prefix.size() - 1);
    }
    if (sinks.empty()) break;
  }
  return sum;
}

int perplexity(const PerplexityFlags& flags, InterruptWatch& interrupts) {
  const std::string text = read_text(flags.file);
  const config::PipelineConfig config = flags.engine.resolve();
  const pipeline::EngineOptions options = flags.engine.engine_options(config);
  settings::set_up_process(config);
  const auto nodes = start_local_nodes(config, interrupts);
  TerminalProgress progress;
  pipeline::Engine engine(options, progress);
  print_warnings(engine);
  const OnInterrupt cancel(interrupts, [&engine] { engine.cancel_all(); });

  const std::size_t most =
      std::min<std::size_t>(engine.plan().max_position, engine.kv_report().max_tokens);
  if (flags.window > most)
    throw Error(Errc::usage, fmt::format("--window {} is more than this model's context of {}",
                                         flags.window, most));
  const std::vector<u32> ids = engine.tokenizer().encode(text, /*add_special=*/false);
  const std::vector<u32> prefix = engine.tokenizer().encode("", /*add_special=*/true);
  if (ids.size() + prefix.size() < 2)
    throw Error(Errc::usage, fmt::format("{}: too short, give at least two tokens", flags.file));
  if (prefix.size() + 1 > flags.window)
    throw Error(Errc::usage, "--window holds no token of the text");
  const Likelihood sum = measure(engine, ids, prefix, flags);
  const double per_token = sum.nats / static_cast<double>(sum.tokens);
  const double bits_per_byte = sum.nats / std::log(2.0) / static_cast<double>(text.size());
  const double perplexity = std::exp(per_token);
  if (flags.json)
    print_out("{{\"perplexity\":{:.6f},\"tokens\":{},\"window\":{},\"bits_per_byte\":{:.6f},"
              "\"kv_format\":\"{}\"}}\n",
              perplexity, sum.tokens, flags.window, bits_per_byte,
              kernels::to_string(engine.kv_report().format));
  else
    print_out("perplexity {:.4f} over {} tokens in windows of {}, {:.4f} bits per byte\n",
              perplexity, sum.tokens, flags.window, bits_per_byte);
  engine.write_trace();
  return 0;
}

} // namespace

void add_perplexity_command(CLI::App& app, Action& chosen) {
  auto flags = std::make_shared<PerplexityFlags>();
  CLI::App* command = app.add_subcommand(
      "perplexity", "How likely a model holds a text to be: what quantisation costs");
  flags->engine.add_to(*command);
  command->add_option("--file", flags->file, "the text, UTF-8")->required();
  command->add_option("--window", flags->window, "tokens that are looked at together (default 512)")
      ->check(CLI::Range(2, 1 << 20));
  command->add_option("--batch", flags->batch, "windows at a time (default 4)")
      ->check(CLI::Range(1, 256));
  command->add_flag("--json", flags->json, "print one JSON object");
  command->callback([flags, &chosen] {
    chosen = [flags](InterruptWatch& interrupts) { return perplexity(*flags, interrupts); };
  });
}

} // namespace talaria::cli
