#include "pipeline/engine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <thread>

#include "actors/errors.hpp"
#include "pipeline/graph.hpp"
#include "pipeline/model_loader.hpp"
#include "pipeline/scheduler.hpp"
#include "remo/public/public_matrix.hpp"

namespace talaria::pipeline {

namespace {

struct SystemConfig : caf::actor_system_config {
  explicit SystemConfig(std::size_t threads) {
    set("scheduler.policy", caf::atom("sharing")); // sleeps when idle; stealing polls
    set("scheduler.max-threads", threads);
  }
};

/// Hints from whoever stands behind the worker interface.
class WorkerHints final : public remo::HintSource {
public:
  WorkerHints(caf::actor_system& system, worker::Worker worker)
      : self_(system), worker_(std::move(worker)) {}

  remo::WorkerProduct hint_rows(u32 matrix, u32 first, u32 count) override {
    return ask(worker::HintRequest{matrix, first, count});
  }
  remo::WorkerProduct product(const remo::MaskedTensor& rows) override { return ask(rows); }

private:
  template <class Question>
  remo::WorkerProduct ask(const Question& question) {
    remo::WorkerProduct product;
    self_->request(worker_, caf::infinite, question)
        .receive([&](remo::WorkerProduct& answer) { product = std::move(answer); },
                 [](caf::error& error) { throw from_caf(error); });
    return product;
  }

  caf::scoped_actor self_;
  worker::Worker worker_;
};

std::size_t thread_count(std::size_t asked) {
  return asked != 0 ? asked : std::max(1U, std::thread::hardware_concurrency());
}

} // namespace

struct Engine::Impl {
  explicit Impl(const EngineOptions& options)
      : loader(options.model_dir, options.weights),
        tokenizer(
            std::make_shared<const model::Tokenizer>(model::Tokenizer::load(options.model_dir))),
        generation(model::load_generation_config(options.model_dir)),
        tracer(options.trace.empty() ? nullptr
                                     : std::make_unique<telemetry::Tracer>(options.trace)),
        system_config(thread_count(options.threads)), system(system_config) {}

  ModelLoader loader;
  std::shared_ptr<const model::Tokenizer> tokenizer;
  model::GenerationConfig generation;
  std::unique_ptr<telemetry::Tracer> tracer;
  std::string warning;
  std::size_t hint_bytes = 0;

  std::shared_ptr<worker::ProductEngine> products;
  std::shared_ptr<worker::WorkerLedger> ledger = std::make_shared<worker::WorkerLedger>();
  std::vector<std::shared_ptr<const remo::MaskedLinear>> linears;
  std::shared_ptr<remo::MaskPool> pool;

  SystemConfig system_config;
  caf::actor_system system;
  worker::Worker worker;   ///< whom the stages ask
  worker::Worker embedded; ///< the one behind it, if it is decorated
  Scheduler scheduler;
  std::vector<caf::actor> stages;
  std::atomic<u64> last_sequence{0};

  void load(const EngineOptions& options, Progress& progress);
  void spawn(const EngineOptions& options);
};

/// Weights to the worker, then hints from it. The enclave keeps what each LinearSpec needs in
/// between: column scales, and a loan of the weights for the integrity vectors (one pass, REMO.md
/// 7b).
void Engine::Impl::load(const EngineOptions& options, Progress& progress) {
  products = std::make_shared<worker::ProductEngine>(
      *options.scheme.parameters, remo::release_seed(), thread_count(options.threads));
  loader.for_each_linear(progress,
                         [&](model::QuantizedLinear linear) { products->add(std::move(linear)); });
  worker = worker::spawn_worker(system, products, ledger);
  if (options.decorate_worker) {
    embedded = worker;
    worker = options.decorate_worker(system, worker);
  }

  const auto scheme = remo::make_scheme(options.scheme);
  warning = scheme->warning();
  const auto tensors = model::load_enclave_tensors(loader.tensors(), loader.config());
  WorkerHints hints(system, worker);
  auto rng = ChaChaRng::from_system();
  for (u32 i = 0; i < model::linear_count(loader.config()); ++i) {
    const model::QuantizedLinear& held = products->linear(i);
    remo::LinearSpec spec;
    spec.matrix = i;
    spec.name = model::linear_name(loader.config(), {i});
    spec.d_in = held.d_in;
    spec.d_out = held.d_out;
    spec.two_column_sets = held.format == model::WeightFormat::int16;
    spec.columns = &held.columns;
    spec.scale = held.scale;
    spec.bias = tensors.bias[i];
    linears.push_back(scheme->prepare(spec, hints, rng, progress));
    hint_bytes += linears.back()->hint_bytes();
  }
}

void Engine::Impl::spawn(const EngineOptions& options) {
  std::vector<const remo::MaskedLinear*> raw;
  for (const auto& linear : linears) raw.push_back(linear.get());
  pool = std::make_shared<remo::MaskPool>(
      raw, options.pool, [] { return std::make_unique<ChaChaRng>(ChaChaRng::from_system()); });

  SchedulerOptions scheduler_options;
  scheduler_options.limits = options.batch;
  scheduler_options.tokenizer = tokenizer;
  scheduler_options.eos = generation.eos.empty() ? loader.config().eos : generation.eos;
  scheduler_options.rope_frequencies = loader.config().rope_frequencies();
  scheduler = spawn_scheduler(system, std::move(scheduler_options));

  GraphParts parts;
  parts.config = loader.config();
  parts.embeddings =
      std::make_shared<const model::EmbeddingTable>(loader.tensors(), loader.config());
  parts.tensors = model::load_enclave_tensors(loader.tensors(), loader.config());
  parts.linears = linears;
  parts.pool = pool;
  parts.worker = worker;
  parts.tracer = tracer.get();
  Graph graph = build_graph(system, parts, scheduler);
  stages = std::move(graph.stages);
  caf::anon_send(scheduler, std::move(graph.wiring));
}

Engine::Engine(const EngineOptions& options, Progress& progress)
    : impl_(std::make_unique<Impl>(options)) {
  impl_->load(options, progress);
  impl_->spawn(options);
}

Engine::~Engine() {
  cancel_all();
  caf::scoped_actor self(impl_->system);
  const auto end = [&self](const auto& handle) {
    if (handle) self->send_exit(handle, caf::exit_reason::user_shutdown);
  };
  // Sinks hear of the cancellation before the scheduler goes: exits queue behind messages.
  end(caf::actor_cast<caf::actor>(impl_->scheduler));
  self->wait_for(impl_->scheduler);
  for (const caf::actor& stage : impl_->stages) end(stage);
  end(caf::actor_cast<caf::actor>(impl_->worker));
  end(caf::actor_cast<caf::actor>(impl_->embedded));
}

const model::ModelConfig& Engine::config() const {
  return impl_->loader.config();
}
const model::Tokenizer& Engine::tokenizer() const {
  return *impl_->tokenizer;
}
const model::GenerationConfig& Engine::generation_config() const {
  return impl_->generation;
}
const std::string& Engine::warning() const {
  return impl_->warning;
}
std::size_t Engine::hint_bytes() const {
  return impl_->hint_bytes;
}

void Engine::submit(Request request, std::shared_ptr<RequestSink> sink) {
  const model::ModelConfig& model = config();
  const std::size_t length = request.prompt.size();
  if (length == 0) throw Error(Errc::usage, "the prompt is empty; give at least one token");
  if (length > model.max_position)
    throw Error(Errc::usage, fmt::format("the prompt has {} tokens; the model's context holds {}",
                                         length, model.max_position));
  if (request.max_tokens > 0 && length == model.max_position)
    throw Error(Errc::usage, fmt::format("the prompt fills the context of {} tokens; nothing can "
                                         "be generated behind it",
                                         length));
  if (std::any_of(request.prompt.begin(), request.prompt.end(),
                  [&](u32 token) { return token >= model.vocab; }))
    throw Error(Errc::usage,
                fmt::format("a prompt token is outside the vocabulary of {}", model.vocab));
  if (request.max_tokens == 0 && request.logits == LogitsWanted::none)
    throw Error(Errc::usage, "max_tokens is 0: nothing to generate; ask for at least one token");
  request.sampling.validate();
  request.max_tokens = std::min(request.max_tokens, static_cast<u32>(model.max_position - length));
  Submit submit;
  submit.sequence = ++impl_->last_sequence;
  submit.request = std::make_shared<const Request>(std::move(request));
  submit.sink = std::move(sink);
  caf::anon_send(impl_->scheduler, std::move(submit));
}

void Engine::cancel_all() {
  if (impl_->scheduler) caf::anon_send(impl_->scheduler, CancelAll{});
}

WorkerReport Engine::worker_report() const {
  return {"embedded", impl_->products->weight_bytes(), impl_->ledger->totals(),
          impl_->ledger->last_seen()};
}

remo::MaskPool::Stats Engine::mask_stats() const {
  return impl_->pool->stats();
}
void Engine::wait_for_masks() {
  impl_->pool->wait_until_full();
}
void Engine::write_trace() {
  if (impl_->tracer) impl_->tracer->write();
}

Completion run_to_end(Engine& engine, Request request) {
  struct Sink final : RequestSink {
    std::promise<Completion> promise;
    void finished(Completion completion) override { promise.set_value(std::move(completion)); }
  };
  auto sink = std::make_shared<Sink>();
  auto future = sink->promise.get_future();
  engine.submit(std::move(request), sink);
  Completion completion = future.get();
  if (completion.error) throw *completion.error;
  return completion;
}

} // namespace talaria::pipeline
