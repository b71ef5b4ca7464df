#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "cli/bench_measure.hpp"
#include "cli/bench_modes.hpp"
#include "cli/tuning.hpp"
#include "core/console.hpp"

namespace talaria::cli {

namespace {

using pipeline::Engine;
using pipeline::EngineOptions;

EngineOptions with(const EngineOptions& base, const TunedSettings& settings) {
  EngineOptions options = base;
  options.batch = {settings.micro_batches, settings.max_rows, settings.prefill_chunk};
  options.threads = settings.threads;
  options.pool.threads = settings.pool_threads;
  return options;
}

/// Engines of one model and scheme with different settings. What does not depend on settings is
/// made once.
class EngineFactory {
public:
  EngineFactory(const BenchFlags& flags, const BenchSetup& setup) : flags_(flags) {
    base_ = setup.options;
    base_.scheme.kind = parse_candidate(flags.schemes.front());
    if (base_.scheme.kind == remo::SchemeKind::plain) base_.cluster.reset();
  }

  std::unique_ptr<Engine> make(const TunedSettings& settings) {
    EngineOptions options = with(base_, settings);
    options.linears = linears_;
    // The embedded worker's threads came with its weights.
    if (products_ && products_threads_ == settings.threads) options.products = products_;
    auto engine = start_engine(options, flags_);
    linears_ = engine->linears();
    if (!products_) {
      products_ = engine->products();
      products_threads_ = settings.threads;
    }
    pipeline::run_to_end(*engine, first_request()); // pages, caches, connections
    return engine;
  }

private:
  static pipeline::Request first_request() {
    pipeline::Request request;
    request.prompt = {1, 2, 3};
    request.max_tokens = 2;
    request.ignore_eos = true;
    return request;
  }

  const BenchFlags& flags_;
  EngineOptions base_;
  std::vector<std::shared_ptr<const remo::MaskedLinear>> linears_;
  std::shared_ptr<worker::ProductEngine> products_;
  std::size_t products_threads_ = 0;
};

/// Measures a candidate against the settings that are best so far, in turns.
class PairedComparison {
public:
  PairedComparison(const BenchFlags& flags, const BenchSetup& setup, InterruptWatch& interrupts)
      : flags_(flags), interrupts_(interrupts), factory_(flags, setup) {}

  Comparison operator()(const TunedSettings& best, const TunedSettings& candidate) {
    if (!best_engine_ || !(best_settings_ == best)) {
      best_engine_.reset(); // its masks go before new ones are made
      best_engine_ = factory_.make(best);
      best_settings_ = best;
    }
    const auto candidate_engine = factory_.make(candidate);
    const OnInterrupt cancel(interrupts_, [&] {
      best_engine_->cancel_all();
      candidate_engine->cancel_all();
    });
    std::vector<double> gains;
    std::vector<Figures> all;
    for (u32 round = 0; round < *flags_.rounds; ++round) {
      const bool first = round % 2 == 0;
      Figures mine;
      if (first) mine = measure(*candidate_engine, *best_engine_, candidate);
      const Figures theirs = measure(*best_engine_, *candidate_engine, best);
      if (!first) mine = measure(*candidate_engine, *best_engine_, candidate);
      gains.push_back(gain(mine, theirs));
      all.push_back(mine);
      if (round == 0 && gains[0] < kAbandonBelow) break;
    }
    return summary(gains, all);
  }

private:
  static constexpr double kAbandonBelow = 0.85; ///< after one round; others are measured to the end
  using Figures = std::vector<double>;          ///< decode, prefill of each batch size in turn

  Figures measure(Engine& engine, Engine& other, const TunedSettings& settings) {
    Figures out;
    for (const std::size_t batch : flags_.batches) {
      const BenchLoad load{batch, flags_.prefill, flags_.decode, flags_.context};
      other.wait_for_masks();
      engine.wait_for_masks();
      out.push_back(measure_decode(engine, load, settings.max_rows).tokens_per_s);
      engine.wait_for_masks();
      out.push_back(measure_prefill(engine, load).tokens_per_s);
    }
    return out;
  }

  /// The geometric mean of what each figure gained.
  static double gain(const Figures& mine, const Figures& theirs) {
    double sum = 0;
    for (std::size_t i = 0; i < mine.size(); ++i) sum += std::log(mine[i] / theirs[i]);
    return std::exp(sum / static_cast<double>(mine.size()));
  }

  Comparison summary(const std::vector<double>& gains, const std::vector<Figures>& all) const {
    Comparison out;
    out.gain = median(gains);
    out.wins = static_cast<double>(
                   std::count_if(gains.begin(), gains.end(), [](double g) { return g > 1; })) /
               static_cast<double>(gains.size());
    for (std::size_t i = 0; i < all.front().size(); ++i) {
      std::vector<double> values;
      for (const Figures& figures : all) values.push_back(figures[i]);
      out.figures.push_back(median(values));
    }
    return out;
  }

  const BenchFlags& flags_;
  InterruptWatch& interrupts_;
  EngineFactory factory_;
  std::unique_ptr<Engine> best_engine_;
  TunedSettings best_settings_;
};

TunedSettings settings_of(const EngineOptions& options) {
  return {options.batch.micro_batches, options.batch.max_rows, options.batch.prefill_chunk,
          options.threads, options.pool.threads};
}

std::string row_text(const Trial& trial, const BenchFlags& flags) {
  std::string figures;
  for (std::size_t i = 0; i < flags.batches.size(); ++i)
    figures += fmt::format("{:>12.2f}{:>12.1f}", trial.result.figures[2 * i],
                           trial.result.figures[2 * i + 1]);
  const std::string value = trial.value == 0 ? std::string() : std::to_string(trial.value);
  return fmt::format("{:<26}{:>7}{}{:>9.3f}  {}", trial.setting, value, figures, trial.result.gain,
                     trial.kept ? "kept" : "");
}

std::string heading(const BenchFlags& flags) {
  std::string text = fmt::format("{:<26}{:>7}", "setting", "value");
  for (const std::size_t batch : flags.batches)
    text += fmt::format("{:>12}{:>12}", fmt::format("decode/{}", batch),
                        fmt::format("prefill/{}", batch));
  return text + fmt::format("{:>9}", "gain");
}

nlohmann::json to_json(const std::vector<Trial>& trials, const Tuning& tuning,
                       const std::string& yaml) {
  auto tried = nlohmann::json::array();
  for (const Trial& trial : trials)
    tried.push_back({{"setting", trial.setting},
                     {"value", trial.value},
                     {"figures", trial.result.figures},
                     {"gain", trial.result.gain},
                     {"wins", trial.result.wins},
                     {"kept", trial.kept}});
  const TunedSettings& best = tuning.best;
  return {{"tried", std::move(tried)},
          {"gain", tuning.gain},
          {"best",
           {{"micro_batches", best.micro_batches},
            {"max_rows", best.max_rows},
            {"prefill_chunk", best.prefill_chunk},
            {"threads", best.threads},
            {"pool_threads", best.pool_threads}}},
          {"yaml", yaml}};
}

void write(const std::string& text, const std::string& path) {
  std::ofstream out(path, std::ios::trunc);
  out << text;
  out.close();
  if (!out) throw Error(Errc::io, path + ": cannot be written; choose another path for -o");
}

} // namespace

int bench_tune(const BenchFlags& flags, const BenchSetup& setup, InterruptWatch& interrupts) {
  PairedComparison compare(flags, setup, interrupts);
  if (!flags.json)
    print_out("{}, {}, batch {}; tokens per second, medians of {} rounds in turn with the best so "
              "far; gain: geometric mean\n\n{}\n",
              setup.model.name, flags.schemes.front(), flags.batches_text(), *flags.rounds,
              heading(flags));
  std::vector<Trial> trials;
  const auto tell = [&](const Trial& trial) {
    trials.push_back(trial);
    if (flags.json) return;
    print_out("{}\n", row_text(trial, flags));
  };
  const Tuning tuning = tune(
      settings_of(setup.options), setup.threads,
      [&compare](const auto& best, const auto& candidate) { return compare(best, candidate); },
      tell);
  const std::string yaml = to_yaml(
      tuning.best,
      fmt::format("talaria bench --tune: {}, {}, {} layers, batch {}, {} threads, {}: {:.2f} times "
                  "the settings it began with",
                  setup.model.name, flags.schemes.front(), setup.model.layers, flags.batches_text(),
                  setup.threads,
                  setup.options.cluster ? "with the workers of the file" : "embedded",
                  tuning.gain));
  if (!flags.output.empty()) write(yaml, flags.output);
  if (flags.json)
    print_out("{}\n", to_json(trials, tuning, yaml).dump());
  else
    print_out("\n{}", flags.output.empty() ? yaml
                                           : fmt::format("{:.2f} times what it was: {}\n",
                                                         tuning.gain, flags.output));
  return 0;
}

} // namespace talaria::cli
