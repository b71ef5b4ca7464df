// What a span costs: where nobody traces, while a tracer is paused, and recorded; and what a step
// inside a library costs unheard and heard.

#include <benchmark/benchmark.h>

#include <filesystem>

#include "core/step_clock.hpp"
#include "telemetry/tracer.hpp"

namespace {

using namespace talaria;
using telemetry::Span;
using telemetry::SpanKind;
using telemetry::Tracer;

/// A trace in a file that nobody keeps.
class Scratch {
public:
  Scratch() : path_(std::filesystem::temp_directory_path() / "talaria-trace-bench.json") {}
  ~Scratch() { std::filesystem::remove(path_); }
  const std::filesystem::path& path() const { return path_; }

private:
  std::filesystem::path path_;
};

void no_tracer(benchmark::State& state) {
  Tracer* tracer = nullptr;
  for (auto _ : state) {
    benchmark::DoNotOptimize(tracer);
    const Span span(tracer, 0, SpanKind::norm, {});
    benchmark::ClobberMemory();
  }
}
BENCHMARK(no_tracer);

void paused_tracer(benchmark::State& state) {
  const Scratch file;
  Tracer tracer(file.path());
  tracer.pause(true);
  for (auto _ : state) {
    const Span span(&tracer, 0, SpanKind::norm, {});
    benchmark::ClobberMemory();
  }
}
BENCHMARK(paused_tracer);

/// As many spans as a long run has; from several threads, since each has a buffer.
void recorded(benchmark::State& state) {
  static const Scratch file;
  static std::unique_ptr<Tracer> tracer;
  if (state.thread_index() == 0) {
    tracer = std::make_unique<Tracer>(file.path());
    tracer->track("p", "t");
  }
  for (auto _ : state) {
    const Span span(tracer.get(), 0, SpanKind::norm, {});
    benchmark::ClobberMemory();
  }
  if (state.thread_index() == 0) tracer.reset();
}
BENCHMARK(recorded)->Iterations(500'000)->Threads(1)->Threads(2);

void step_unheard(benchmark::State& state) {
  for (auto _ : state) {
    const TimedStep step(Step::verify);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(step_unheard);

void step_heard(benchmark::State& state) {
  const StepClock clock;
  for (auto _ : state) {
    const TimedStep step(Step::verify);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(step_heard);

} // namespace

BENCHMARK_MAIN();
