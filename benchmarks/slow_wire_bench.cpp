// slow_wire_bench [SHAPE] [LAYERS] [DELAY_MS] [MICRO_BATCHES] [ROUNDS]: eight sequences decoding
// over loopback TLS through a relay, with so much delay on each way and without, in turns. What the
// delay costs is what micro-batches did not hide. Random weights, lattice masks. Medians.
#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "benchmarks/worker_site.hpp"
#include "kernels/kernel_set.hpp"
#include "model/weights/synthetic.hpp"
#include "pipeline/model_loader.hpp"
#include "tests/support/wire_proxy.hpp"

namespace {

using namespace talaria;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kSequences = 8;
constexpr u32 kPrompt = 16;
constexpr u32 kTokens = 32;

/// When all sequences had their first token, and when all were over.
class Race {
public:
  std::shared_ptr<pipeline::RequestSink> runner(std::shared_ptr<Race> self) {
    return std::make_shared<Runner>(std::move(self));
  }
  /// Tokens per second between the two.
  double wait() {
    std::unique_lock lock(mutex_);
    over_.wait(lock, [this] { return ended_ == kSequences; });
    return static_cast<double>(counted_) /
           std::chrono::duration<double>(Clock::now() - begin_).count();
  }

private:
  class Runner final : public pipeline::RequestSink {
  public:
    explicit Runner(std::shared_ptr<Race> race) : race_(std::move(race)) {}
    void token() override { race_->token(std::exchange(first_, false)); }
    void finished(pipeline::Completion completion) override {
      if (completion.error) throw *completion.error;
      race_->end();
    }

  private:
    std::shared_ptr<Race> race_;
    bool first_ = true;
  };

  void token(bool first) {
    const std::lock_guard lock(mutex_);
    if (begun_ == kSequences) ++counted_;
    if (first && ++begun_ == kSequences) begin_ = Clock::now();
  }
  void end() {
    const std::lock_guard lock(mutex_);
    if (++ended_ == kSequences) over_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable over_;
  std::size_t begun_ = 0;
  std::size_t ended_ = 0;
  u64 counted_ = 0;
  Clock::time_point begin_{};
};

double decode(pipeline::Engine& engine) {
  engine.wait_for_masks();
  const auto race = std::make_shared<Race>();
  for (u32 i = 0; i < kSequences; ++i) {
    pipeline::Request request;
    for (u32 t = 0; t < kPrompt; ++t) request.prompt.push_back(17 + 100 * i + 31 * t);
    request.max_tokens = kTokens;
    request.ignore_eos = true;
    engine.submit(std::move(request), race->runner(race));
  }
  return race->wait();
}

/// A wire does not wait for processors: where it is allowed, the relay's threads go before all
/// others.
std::unique_ptr<tests::WireProxy> make_relay() {
  sched_param before{};
  int policy = 0;
  ::pthread_getschedparam(::pthread_self(), &policy, &before);
  const sched_param first{.sched_priority = 1};
  ::pthread_setschedparam(::pthread_self(), SCHED_FIFO, &first);
  auto relay = std::make_unique<tests::WireProxy>(); // its threads inherit it
  ::pthread_setschedparam(::pthread_self(), policy, &before);
  return relay;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

} // namespace

int main(int argc, char** argv) {
  const auto number = [&](int at, int otherwise) {
    return argc > at ? std::atoi(argv[at]) : otherwise;
  };
  const std::string shape = argc > 1 ? argv[1] : "llama-3.2-1b";
  const auto layers = static_cast<u32>(number(2, 4));
  const std::chrono::milliseconds delay(number(3, 2));
  const auto micro_batches = static_cast<u32>(number(4, 4));
  const int rounds = number(5, 7);

  const benchmarks::WorkerSite site(model::random_model_path(shape, layers).string());
  const auto relay = make_relay();
  relay->lead_to(site.port());
  const arch::ModelPlan plan = model::shape_plan(shape, layers);
  pipeline::EngineOptions options;
  options.model = std::make_shared<const pipeline::ModelLoader>(
      plan, model::synthetic_tensors(plan), options.weights);
  options.cluster = site.cluster(relay->port());
  options.batch.micro_batches = micro_batches;
  SilentProgress progress;
  pipeline::Engine engine(options, progress);

  decode(engine); // warms up
  std::vector<double> near;
  std::vector<double> far;
  for (int i = 0; i < rounds; ++i) {
    relay->delay(std::chrono::milliseconds(0));
    near.push_back(decode(engine));
    relay->delay(delay);
    far.push_back(decode(engine));
  }
  fmt::print("{}, {} layers, {} kernels, {} threads, {} sequences in {} micro-batches, {} rounds, "
             "medians\nwithout delay {:.2f} tokens/s, with {} ms each way {:.2f}: {:.2f}\n",
             shape, layers, kernels::active_kernels().name, std::thread::hardware_concurrency(),
             kSequences, micro_batches, rounds, median(near), delay.count(), median(far),
             median(far) / median(near));
  return 0;
}
