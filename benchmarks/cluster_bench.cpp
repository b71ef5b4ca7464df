// cluster_bench [MODEL_DIR] [ROUNDS]: the same model with its worker inside the process and with a
// talaria-worker process behind loopback TLS, in turns, lattice masks in both. Medians. Answers
// are compared before anything is timed.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <future>
#include <thread>
#include <vector>

#include "benchmarks/worker_site.hpp"
#include "kernels/kernel_set.hpp"

namespace {

using namespace talaria;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

struct Figures {
  std::vector<double> decode, decode8, prefill, ttft;
};

pipeline::Request request(std::size_t prompt, u32 tokens, u32 variant = 0) {
  pipeline::Request r;
  for (std::size_t i = 0; i < prompt; ++i)
    r.prompt.push_back(static_cast<u32>(17 + variant + i * 31 % 4000));
  r.max_tokens = tokens;
  r.ignore_eos = true;
  return r;
}

struct Sink final : pipeline::RequestSink {
  std::promise<void> done;
  void finished(pipeline::Completion) override { done.set_value(); }
};

/// Tokens per second of eight sequences together, prompts of 16 included.
double decode_eight(pipeline::Engine& engine) {
  constexpr u32 kTokens = 64;
  std::vector<std::shared_ptr<Sink>> sinks;
  const auto begin = Clock::now();
  for (u32 i = 0; i < 8; ++i) {
    sinks.push_back(std::make_shared<Sink>());
    engine.submit(request(16, kTokens, i), sinks.back());
  }
  for (const auto& sink : sinks) sink->done.get_future().wait();
  return 8 * kTokens / seconds_since(begin);
}

void round(pipeline::Engine& engine, Figures& figures) {
  engine.wait_for_masks();
  const auto decode = pipeline::run_to_end(engine, request(16, 128));
  figures.decode.push_back(decode.timings.decode_tokens_per_s);
  figures.ttft.push_back(decode.timings.ttft_ms);
  engine.wait_for_masks();
  figures.decode8.push_back(decode_eight(engine));
  engine.wait_for_masks();
  figures.prefill.push_back(
      pipeline::run_to_end(engine, request(512, 1)).timings.prefill_tokens_per_s);
}

} // namespace

int main(int argc, char** argv) {
  const std::string model = argc > 1 ? argv[1] : "models/talaria-tiny";
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 9;
  SilentProgress progress;

  auto begin = Clock::now();
  const benchmarks::WorkerSite site(model);
  fmt::print("worker ready after {:.2f} s\n", seconds_since(begin));
  pipeline::EngineOptions options;
  options.model_dir = model;
  begin = Clock::now();
  pipeline::Engine embedded(options, progress);
  fmt::print("embedded engine ready after {:.2f} s\n", seconds_since(begin));

  options.cluster = site.cluster(site.port());
  begin = Clock::now();
  pipeline::Engine remote(options, progress);
  fmt::print("remote engine ready after {:.2f} s, hints of {} MB fetched and checked\n",
             seconds_since(begin), remote.hint_bytes() / 1000000);

  if (pipeline::run_to_end(embedded, request(64, 32)).tokens !=
      pipeline::run_to_end(remote, request(64, 32)).tokens) {
    fmt::print(stderr, "the engines disagree: nothing is measured\n");
    return 1;
  }
  Figures e;
  Figures r;
  for (int i = 0; i < rounds; ++i) {
    round(embedded, e);
    round(remote, r);
  }
  fmt::print("kernels {}, {} threads, {} rounds, medians\n{:<34}{:>12}{:>12}{:>10}\n",
             kernels::active_kernels().name, std::thread::hardware_concurrency(), rounds, "", "TLS",
             "embedded", "ratio");
  const auto row = [](const char* name, const std::vector<double>& a,
                      const std::vector<double>& b) {
    fmt::print("{:<34}{:>12.1f}{:>12.1f}{:>10.2f}\n", name, median(a), median(b),
               median(a) / median(b));
  };
  row("decode, one sequence, tokens/s", r.decode, e.decode);
  row("decode, eight together, tokens/s", r.decode8, e.decode8);
  row("prefill of 512, tokens/s", r.prefill, e.prefill);
  row("time to first token of 16, ms", r.ttft, e.ttft);
  return 0;
}
