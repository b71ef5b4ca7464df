// Workers are killed, stopped, restarted, slowed and cut at random; no answer may change, none may
// be lost. TALARIA_CHAOS_GENERATIONS and TALARIA_CHAOS_SEED lengthen and repeat a run
// (scripts/chaos runs 200 with delay and loss on the network as well).
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdlib>
#include <future>
#include <thread>

#include "core/random.hpp"
#include "pipeline/engine.hpp"
#include "tests/support/loopback_worker.hpp"
#include "tests/support/models.hpp"
#include "tests/support/wire_proxy.hpp"
#include "tests/support/worker_process.hpp"

namespace talaria {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr u32 kBatch = 8;
constexpr u32 kTokens = 64;

u64 from_environment(const char* name, u64 otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

/// A worker process behind a network that can fail.
class Victim {
public:
  Victim(const tests::LoopbackCertificates& certificates, const std::string& layers)
      : layers_(layers) {
    const auto files = certificates.worker();
    arguments_ = {"--model",   tests::model_folder("talaria-tiny").string(),
                  "--layers",  layers,
                  "--threads", "1",
                  "--cert",    files.cert.string(),
                  "--key",     files.key.string(),
                  "--ca",      files.ca.string()};
    start();
  }
  u16 port() const { return proxy_.port(); }
  const std::string& layers() const { return layers_; }
  void start() {
    process_ = std::make_unique<tests::WorkerProcess>(TALARIA_WORKER, arguments_);
    proxy_.lead_to(process_->port());
  }
  void kill(int signal) {
    process_->end(signal);
    process_.reset();
  }
  bool running() const { return process_ != nullptr; }
  void pause() { process_->send(SIGSTOP); }
  void go_on() { process_->send(SIGCONT); }
  tests::WireProxy& network() { return proxy_; }

private:
  std::string layers_;
  std::vector<std::string> arguments_;
  tests::WireProxy proxy_;
  std::unique_ptr<tests::WorkerProcess> process_;
};

/// Harms one worker after another. Of the two replicas at most one is harmed at a time, so that
/// every layer always has a worker left.
class Chaos {
public:
  Chaos(std::vector<Victim*> victims, u64 seed)
      : victims_(std::move(victims)), rng_(seeded_rng(seed, 77)),
        thread_([this](const std::stop_token& stop) { run(stop); }) {}

  u32 acts() const { return acts_; }
  /// Ends the harm and heals everybody.
  void finish() {
    thread_.request_stop();
    thread_.join();
  }

private:
  void run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      sleep(50 + rng_.below(250));
      const std::size_t first = rng_.below(victims_.size());
      const std::size_t second = rng_.below(2); // a primary beside it
      harm(*victims_[first]);
      if (second != first && rng_.below(2) == 0) harm(*victims_[second]);
      sleep(100 + rng_.below(900));
      heal(*victims_[first]);
      heal(*victims_[second]);
    }
  }

  void harm(Victim& victim) {
    ++acts_;
    switch (rng_.below(5)) {
    case 0:
      return victim.kill(SIGKILL);
    case 1:
      return victim.kill(SIGTERM);
    case 2:
      return victim.pause();
    case 3:
      return victim.network().cut();
    default:
      return victim.network().delay(milliseconds(rng_.below(30)));
    }
  }

  static void heal(Victim& victim) {
    if (!victim.running()) victim.start();
    victim.go_on();
    victim.network().delay(milliseconds(0));
  }

  static void sleep(u64 ms) { std::this_thread::sleep_for(milliseconds(ms)); }

  std::vector<Victim*> victims_;
  ChaChaRng rng_;
  std::atomic<u32> acts_{0};
  std::jthread thread_;
};

pipeline::Request request_of(u64 number) {
  auto rng = seeded_rng(91, number);
  pipeline::Request request;
  request.prompt.resize(4 + rng.below(40));
  for (auto& token : request.prompt) token = static_cast<u32>(rng.below(4096));
  request.max_tokens = kTokens;
  request.ignore_eos = true;
  request.sampling.temperature = 0.9F;
  request.sampling.seed = number;
  return request;
}

/// Waits for one answer, and notes the longest time between two pieces of text.
class PausesSink final : public pipeline::RequestSink {
public:
  void text(std::string_view) override {
    const auto now = Clock::now();
    if (last_ != Clock::time_point{}) longest_ = std::max(longest_, now - last_);
    last_ = now;
  }
  void finished(pipeline::Completion completion) override {
    done_.set_value(std::move(completion));
  }
  pipeline::Completion wait() { return done_.get_future().get(); }
  double longest_pause_ms() const {
    return std::chrono::duration<double, std::milli>(longest_).count();
  }

private:
  Clock::time_point last_{};
  Clock::duration longest_{};
  std::promise<pipeline::Completion> done_;
};

/// Answers to generations [0, count), in batches; the longest pause if it is asked for.
std::vector<std::vector<u32>> generate(pipeline::Engine& engine, u64 count, double* pause) {
  std::vector<std::vector<u32>> tokens;
  for (u64 first = 0; first < count; first += kBatch) {
    std::vector<std::shared_ptr<PausesSink>> sinks;
    for (u64 i = first; i < std::min(count, first + kBatch); ++i) {
      sinks.push_back(std::make_shared<PausesSink>());
      engine.submit(request_of(i), sinks.back());
    }
    for (const auto& sink : sinks) {
      auto completion = sink->wait();
      if (completion.error) BOOST_ERROR("lost: " << completion.error->what());
      tokens.push_back(std::move(completion.tokens));
      if (pause != nullptr) *pause = std::max(*pause, sink->longest_pause_ms());
    }
  }
  return tokens;
}

} // namespace

BOOST_AUTO_TEST_CASE(chaos_loses_no_answer_and_changes_none) {
  const u64 generations = from_environment("TALARIA_CHAOS_GENERATIONS", 24);
  u64 seed = from_environment("TALARIA_CHAOS_SEED", 0);
  if (seed == 0) seed = ChaChaRng::from_system().below(1000000) + 1;
  BOOST_TEST_MESSAGE("chaos seed " << seed);

  SilentProgress progress;
  pipeline::EngineOptions options;
  options.model_dir = tests::model_folder("talaria-tiny");
  options.threads = 2;
  std::vector<std::vector<u32>> expected;
  {
    pipeline::Engine embedded(options, progress);
    expected = generate(embedded, generations, nullptr);
  }

  const tests::LoopbackCertificates certificates;
  Victim front(certificates, "0-2");
  Victim back(certificates, "3-5");
  Victim spare(certificates, "all");
  Victim other_spare(certificates, "all");
  auto& cluster = options.cluster.emplace();
  cluster.tls = certificates.enclave();
  cluster.policy.deadline = milliseconds(1000);
  cluster.policy.silence = milliseconds(400);
  cluster.policy.retries = 100;
  cluster.policy.strikes = 3;
  for (Victim* victim : {&front, &back, &spare, &other_spare})
    cluster.nodes.push_back(tests::node_at("node-" + std::to_string(cluster.nodes.size()),
                                           victim->port(), {{}, "int8", victim->layers(), "1/1"},
                                           cluster.nodes.size() >= 2));
  options.batch.drafts = 4; // the embedded one had none
  options.batch.drafts_always = true;
  if (seed % 2 == 0) options.draft_model.folder = options.model_dir; // else the context guesses
  pipeline::Engine engine(options, progress);
  const auto begin = Clock::now();
  double pause = 0;
  Chaos chaos({&front, &back, &spare, &other_spare}, seed);
  const auto tokens = generate(engine, generations, &pause);
  chaos.finish();

  BOOST_TEST_REQUIRE(tokens.size() == expected.size());
  for (std::size_t i = 0; i < tokens.size(); ++i)
    BOOST_TEST(tokens[i] == expected[i], "generation " << i << " differs (seed " << seed << ")");
  BOOST_TEST(chaos.acts() > 0U);
  BOOST_TEST(engine.draft_counts().rounds > 0U);
  u64 reconnects = 0;
  for (const auto& worker : engine.workers()) reconnects += worker.reconnects;
  BOOST_TEST_MESSAGE(generations << " generations of " << kTokens << " tokens in "
                                 << std::chrono::duration<double>(Clock::now() - begin).count()
                                 << " s; " << chaos.acts() << " acts of chaos, " << reconnects
                                 << " lost links, longest pause " << pause << " ms");
}

} // namespace talaria
