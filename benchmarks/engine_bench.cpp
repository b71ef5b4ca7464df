// engine_bench [MODEL_DIR] [ROUNDS]: lattice over clear in one run. The two engines take turns,
// round by round, so that a slow moment of the machine hits both; figures are medians. Answers are
// compared before anything is timed.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <thread>
#include <vector>

#include "kernels/kernel_set.hpp"
#include "pipeline/engine.hpp"

namespace {

using namespace talaria;

struct Figures {
  std::vector<double> decode, prefill, ttft;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double spread(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return (values[values.size() * 3 / 4] - values[values.size() / 4]) / values[values.size() / 2];
}

pipeline::EngineOptions options_for(const std::string& model, remo::SchemeKind scheme) {
  pipeline::EngineOptions options;
  options.model_dir = model;
  options.scheme.kind = scheme;
  return options;
}

pipeline::Request request(std::size_t prompt, u32 tokens) {
  pipeline::Request r;
  for (std::size_t i = 0; i < prompt; ++i) r.prompt.push_back(static_cast<u32>(17 + i * 31 % 4000));
  r.max_tokens = tokens;
  r.ignore_eos = true;
  return r;
}

void round(pipeline::Engine& engine, Figures& figures) {
  engine.wait_for_masks();
  const auto decode = pipeline::run_to_end(engine, request(16, 256));
  figures.decode.push_back(decode.timings.decode_tokens_per_s);
  figures.ttft.push_back(decode.timings.ttft_ms);
  engine.wait_for_masks();
  figures.prefill.push_back(
      pipeline::run_to_end(engine, request(512, 1)).timings.prefill_tokens_per_s);
}

} // namespace

int main(int argc, char** argv) {
  const std::string model = argc > 1 ? argv[1] : "models/talaria-tiny";
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 15;
  SilentProgress progress;
  pipeline::Engine lattice(options_for(model, remo::SchemeKind::lattice), progress);
  pipeline::Engine clear(options_for(model, remo::SchemeKind::clear), progress);
  if (pipeline::run_to_end(lattice, request(64, 32)).tokens !=
      pipeline::run_to_end(clear, request(64, 32)).tokens) {
    fmt::print(stderr, "lattice and clear disagree: nothing is measured\n");
    return 1;
  }
  Figures l;
  Figures c;
  for (int i = 0; i < rounds; ++i) {
    round(lattice, l);
    round(clear, c);
  }
  fmt::print("kernels {}, {} threads, {} rounds, medians (interquartile spread)\n",
             kernels::active_kernels().name, std::thread::hardware_concurrency(), rounds);
  fmt::print("{:<34}{:>18}{:>18}{:>16}\n", "", "lattice", "clear", "lattice/clear");
  const auto row = [](const char* name, const std::vector<double>& a,
                      const std::vector<double>& b) {
    fmt::print("{:<34}{:>18}{:>18}{:>16.2f}\n", name,
               fmt::format("{:.1f} ({:.0f} %)", median(a), 100 * spread(a)),
               fmt::format("{:.1f} ({:.0f} %)", median(b), 100 * spread(b)), median(a) / median(b));
  };
  row("decode, tokens/s", l.decode, c.decode);
  row("prefill of 512, tokens/s", l.prefill, c.prefill);
  row("time to first token of 16, ms", l.ttft, c.ttft);
  const auto masks = lattice.mask_stats();
  fmt::print("mask rows made ahead {}, inline {}, stalls {}\n", masks.rows_made_ahead,
             masks.rows_made_inline, masks.stalls);
  return 0;
}
