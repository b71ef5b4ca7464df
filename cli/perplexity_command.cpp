#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "cli/commands.hpp"
#include "cli/engine_flags.hpp"
#include "cli/local_nodes.hpp"
#include "cli/perplexity_base.hpp"
#include "core/console.hpp"
#include "settings/engine/process_setup.hpp"

namespace talaria::cli {

namespace {

struct PerplexityFlags {
  EngineFlags engine;
  std::string file;
  std::string base;      ///< to compare with
  std::string save_base; ///< to write
  u32 window = 512;
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

/// Of the whole text. @throws Error{usage} if it is too short.
void report_likelihood(pipeline::Engine& engine, const PerplexityFlags& flags) {
  const std::string text = read_text(flags.file);
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
}

void report_saved(pipeline::Engine& engine, const PerplexityFlags& flags) {
  const BaseText text = base_text(engine, read_text(flags.file), flags.window);
  save_base(engine, text, flags.save_base, flags.batch);
  const std::size_t positions = text.windows() * text.scored();
  if (flags.json)
    print_out("{{\"positions\":{},\"window\":{}}}\n", positions, text.window);
  else
    print_out("{}: log probabilities of {} positions in {} windows of {}\n", flags.save_base,
              positions, text.windows(), text.window);
}

nlohmann::json to_json(const Estimate& estimate) {
  return {{"value", estimate.value}, {"error", estimate.error}};
}

void report_divergence(pipeline::Engine& engine, BaseReader& base, const PerplexityFlags& flags) {
  const DivergenceReport r = compare_with(engine, base, flags.batch);
  const u32 window = base.text().window;
  if (flags.json) {
    const nlohmann::json divergence = {{"mean", to_json(r.divergence)},
                                       {"median", r.median},
                                       {"p99", r.p99},
                                       {"p999", r.p999},
                                       {"largest", r.largest}};
    const nlohmann::json out = {{"positions", r.positions},
                                {"window", window},
                                {"perplexity", to_json(r.perplexity)},
                                {"base_perplexity", to_json(r.base_perplexity)},
                                {"log_ratio", to_json(r.log_ratio)},
                                {"divergence", divergence},
                                {"probability_change", to_json(r.change)},
                                {"same_top", to_json(r.same_top)},
                                {"kv_format", kernels::to_string(engine.kv_report().format)}};
    print_out("{}\n", out.dump());
    return;
  }
  print_out("{} positions in windows of {}; +- is one standard error\n", r.positions, window);
  print_out("perplexity     {:.4f} +- {:.4f}, of the base {:.4f} +- {:.4f}\n", r.perplexity.value,
            r.perplexity.error, r.base_perplexity.value, r.base_perplexity.error);
  print_out("ln of ratio    {:.3g} +- {:.2g}\n", r.log_ratio.value, r.log_ratio.error);
  print_out("KL divergence  mean {:.3g} +- {:.2g}; median {:.3g}, 99 % {:.3g}, 99.9 % {:.3g}, "
            "largest {:.3g}\n",
            r.divergence.value, r.divergence.error, r.median, r.p99, r.p999, r.largest);
  print_out("probability    of the token that came changes by {:.4f} % +- {:.4f} % (root of the "
            "mean square)\n",
            100 * r.change.value, 100 * r.change.error);
  print_out("same top       {:.3f} % +- {:.3f} %\n", 100 * r.same_top.value,
            100 * r.same_top.error);
}

void check_flags(const PerplexityFlags& flags) {
  if (flags.file.empty() == flags.base.empty())
    throw Error(Errc::usage, "give either --file TEXT, or --base FILE, which has the text in it");
  if (!flags.save_base.empty() && !flags.base.empty())
    throw Error(Errc::usage, "--save-base writes what --base reads: give one of them");
}

int perplexity(const PerplexityFlags& flags, InterruptWatch& interrupts) {
  check_flags(flags);
  std::optional<BaseReader> base;
  if (!flags.base.empty()) base.emplace(flags.base);
  const u32 window = base ? base->text().window : flags.window;
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
  if (window > most)
    throw Error(Errc::usage,
                fmt::format("{} {} is more than this model's context of {}",
                            base ? flags.base + ": a window of" : "--window", window, most));
  if (base)
    report_divergence(engine, *base, flags);
  else if (!flags.save_base.empty())
    report_saved(engine, flags);
  else
    report_likelihood(engine, flags);
  engine.write_trace();
  return 0;
}

} // namespace

void add_perplexity_command(CLI::App& app, Action& chosen) {
  auto flags = std::make_shared<PerplexityFlags>();
  CLI::App* command = app.add_subcommand(
      "perplexity", "How likely a model holds a text to be: what quantisation costs");
  flags->engine.add_to(*command);
  command->add_option("--file", flags->file, "the text, UTF-8");
  command->add_option("--window", flags->window, "tokens that are looked at together (default 512)")
      ->check(CLI::Range(2, 1 << 20));
  command->add_option("--save-base", flags->save_base,
                      "write the log probabilities of every token, for --base: 2 bytes each");
  command->add_option("--base", flags->base,
                      "print how far this model's answers are from those of --save-base, or of "
                      "llama.cpp's --save-all-logits: KL divergence, same top token");
  command->add_option("--batch", flags->batch, "windows at a time (default 4)")
      ->check(CLI::Range(1, 256));
  command->add_flag("--json", flags->json, "print one JSON object");
  command->callback([flags, &chosen] {
    chosen = [flags](InterruptWatch& interrupts) { return perplexity(*flags, interrupts); };
  });
}

} // namespace talaria::cli
