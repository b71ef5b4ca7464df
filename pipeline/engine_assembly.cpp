#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "actors/actor_end.hpp"
#include "core/aes_rng.hpp"
#include "model/token_table.hpp"
#include "pipeline/engine_impl.hpp"
#include "pipeline/kv_budget.hpp"
#include "pipeline/public_prefix.hpp"
#include "pipeline/worker_addresses.hpp"
#include "pipeline/worker_decorator.hpp"
#include "remo/public/public_matrix.hpp"

namespace talaria::pipeline {

/// Hints from whoever stands behind the worker interface.
class WorkerHints final : public remo::HintSource {
public:
  WorkerHints(caf::actor_system& system, worker::Worker worker)
      : system_(system), worker_(std::move(worker)) {}

  remo::WorkerProduct hint_rows(u32 matrix, u32 first, u32 count) override {
    return ask(remo::HintRequest{matrix, first, count});
  }
  remo::WorkerProduct product(const remo::MaskedTensor& rows) override { return ask(rows); }

  /// Who gave the last answer, by node number.
  const std::vector<u32>& answered_by() const noexcept { return answered_by_; }

private:
  template <class Question>
  remo::WorkerProduct ask(const Question& question) {
    auto product = ask_until_it_ends<remo::WorkerProduct>(system_, worker_, question);
    answered_by_ = product.answered_by;
    return product;
  }

  caf::actor_system& system_;
  worker::Worker worker_;
  std::vector<u32> answered_by_;
};

namespace {

/// Bytes of all hints, as a scheme reports them to a Progress.
std::size_t hint_total(const arch::ModelPlan& plan, const EngineOptions& options) {
  if (options.scheme.kind != remo::SchemeKind::lattice) return 0;
  std::size_t columns = 0;
  for (const arch::Linear& linear : plan.linears)
    columns += model::columns_of(linear, options.weights);
  const auto& p = *options.scheme.parameters;
  return columns * p.dimension() * static_cast<std::size_t>(p.modulus().word_bytes);
}

/// See SchedulerOptions::original_length: the shortest of the model's ropes.
u32 original_length(const arch::ModelPlan& plan) {
  u32 shortest = 0;
  for (const arch::Rope& rope : plan.ropes)
    if (rope.original_length != 0 && (shortest == 0 || rope.original_length < shortest))
      shortest = rope.original_length;
  return shortest;
}

std::shared_ptr<const ModelLoader> open_model(const EngineOptions& options) {
  if (options.model) return options.model;
  return std::make_shared<const ModelLoader>(options.model_dir, options.weights,
                                             options.model_sha256, options.task);
}

/// Null unless somebody wants to know what the stages take.
std::unique_ptr<telemetry::Tracer> make_tracer(const EngineOptions& options) {
  if (options.trace.empty() && !options.stage_times) return nullptr;
  return std::make_unique<telemetry::Tracer>(options.trace);
}

std::shared_ptr<const model::Tokenizer> load_tokenizer(const ModelLoader& loader) {
  if (loader.files() == nullptr) return nullptr;
  return std::make_shared<const model::Tokenizer>(model::Tokenizer::load(loader.files()->texts()));
}

/// A tensor [hidden] that says of a row how much likelier the model is to go on with "yes" than
/// with "no".
std::vector<float> yes_or_no(const model::TensorStore& store, const arch::ModelPlan& plan,
                             const model::Pooling& pooling, const model::Tokenizer& tokenizer) {
  const model::TensorView& tensor = store.get(pooling.words, {plan.vocab, plan.hidden});
  std::vector<float> row(plan.hidden);
  std::vector<float> difference(plan.hidden);
  for (const auto& [word, sign] : {std::pair{"yes", 1.0F}, std::pair{"no", -1.0F}}) {
    const std::vector<u32> ids = tokenizer.encode(word, /*add_special_tokens=*/false);
    if (ids.size() != 1 || ids[0] >= plan.vocab)
      throw Error(Errc::usage, fmt::format("task: score: \"{}\" is not one token of this model, "
                                           "which therefore cannot score by it",
                                           word));
    tensor.read(std::size_t{ids[0]} * plan.hidden, row);
    for (std::size_t i = 0; i < row.size(); ++i)
      difference[i] += sign * row[i] * pooling.multiplier;
  }
  return difference;
}

std::size_t thread_count(std::size_t asked) {
  return asked != 0 ? asked : std::max(1U, std::thread::hardware_concurrency());
}

} // namespace

Engine::Impl::Impl(const EngineOptions& options)
    : spare_masks(LargeMemory::process(), 3 * options.pool.memory_bytes / 2),
      opened(open_model(options)), loader(*opened), tokenizer(load_tokenizer(loader)),
      generation(tokenizer ? model::load_generation_config(loader.files()->texts())
                           : model::GenerationConfig{}),
      tracer(make_tracer(options)), oblivious(options.oblivious),
      system_config(thread_count(options.threads)), system(system_config) {}

/// Also after a load that failed half way: whatever was spawned has to end before the system can.
Engine::Impl::~Impl() {
  vitals->close();
  caf::scoped_actor self(system);
  const auto end = [&self](const auto& handle) {
    if (handle) self->send_exit(handle, caf::exit_reason::user_shutdown);
  };
  if (scheduler) {
    // Sinks hear of the cancellation before the scheduler goes: exits queue behind messages.
    self->send(scheduler, CancelAll{});
    end(caf::actor_cast<caf::actor>(scheduler));
    self->wait_for(scheduler);
  }
  for (const Graph::Stage& stage : stages) end(stage.actor);
  end(caf::actor_cast<caf::actor>(worker));
  end(caf::actor_cast<caf::actor>(embedded));
  if (session) end(caf::actor_cast<caf::actor>(session->dispatcher()));
  membership.reset(); // whatever it waits for has ended with the dispatcher
}

void Engine::Impl::embed_worker(const EngineOptions& options, Progress& progress) {
  products = options.products;
  if (!products) {
    products = std::make_shared<worker::ProductEngine>(
        *options.scheme.parameters, remo::public_matrix_seed(), thread_count(options.threads));
    loader.for_each_linear(
        progress, [&](model::QuantizedLinear linear) { products->add(std::move(linear)); });
  }
  worker =
      worker::spawn_worker(system, products, ledger, worker::worker_trace(tracer.get(), "worker"));
}

void Engine::Impl::connect_workers(const EngineOptions& options) {
  ClusterOptions cluster = *options.cluster;
  cluster.nodes = await_addresses(cluster);
  session = std::make_unique<ClusterSession>(system, std::move(cluster), loader,
                                             *options.scheme.parameters, tracer.get());
  worker = session->dispatcher();
  session->await_ready();
}

/// An embedded worker's hints are computed as fast as a disk gives them.
HintCacheOptions Engine::Impl::kept_hint_options(const EngineOptions& options) const {
  if (!session) return {};
  const Sha256Digest root = loader.files() == nullptr ? Sha256Digest{} : loader.files()->root();
  return settled(options.hints, session->owner_key(), root);
}

/// Hints from the workers. The enclave keeps what each LinearSpec needs: column scales, and a loan
/// of the weights for the integrity vectors (one pass, docs/protocol.md, Loading a matrix).
void Engine::Impl::prepare_linears(const EngineOptions& options, Progress& progress) {
  const auto scheme = remo::make_scheme(options.scheme);
  warning = scheme->warning();
  if (!options.linears.empty()) {
    linears = options.linears;
    for (const auto& linear : linears) hint_bytes += linear->hint_bytes();
    return;
  }
  const auto tensors = model::load_enclave_tensors(loader.tensors(), loader.plan());
  WorkerHints source(system, worker);
  HintCache hints(source, *options.scheme.parameters, kept_hint_options(options));
  auto rng = ChaChaRng::from_system();
  progress.begin("hints", hint_total(loader.plan(), options));
  for (const arch::Linear& linear : loader.plan().linears) {
    const u32 i = linear.id.value;
    std::optional<model::QuantizedLinear> loan;
    if (session) loan = session->load({i});
    const model::QuantizedLinear& held = loan ? *loan : products->linear(i);
    if (session) hints.expect(i, model::digest(held), held.columns.d_out());
    remo::LinearSpec spec;
    spec.matrix = i;
    spec.name = linear.name;
    spec.d_in = held.d_in;
    spec.d_out = held.d_out;
    spec.two_column_sets = held.format == model::WeightFormat::int16;
    spec.columns = &held.columns;
    spec.scale = held.scale;
    spec.bias = tensors.bias[i];
    if (session) spec.cuts = session->cuts(i);
    linears.push_back(prepare(*scheme, spec, hints, source, rng, progress));
    hint_bytes += linears.back()->hint_bytes();
  }
  progress.end();
}

/// A hint that fails its check is fetched again: first without the cache, then from others than
/// those who sent the wrong shards, for as long as there are some. Each time with new z and t.
std::shared_ptr<const remo::MaskedLinear>
Engine::Impl::prepare(remo::MaskingScheme& scheme, const remo::LinearSpec& spec, HintCache& hints,
                      const WorkerHints& source, Rng& rng, Progress& progress) {
  for (std::size_t tries = 0;; ++tries) {
    try {
      return scheme.prepare(spec, hints, rng, progress);
    } catch (const remo::WrongHint& wrong) {
      if (!session || tries > 2 * session->nodes()) throw;
      const bool from_disk = hints.discard(spec.matrix);
      if (!from_disk) session->discredit(spec.matrix, source.answered_by(), wrong);
    }
  }
}

void Engine::Impl::make_mask_pool(const EngineOptions& options) {
  std::vector<const remo::MaskedLinear*> raw;
  for (const auto& linear : linears) raw.push_back(linear.get());
  pool = std::make_shared<remo::MaskPool>(
      raw, options.pool, [] { return std::make_unique<AesRng>(AesRng::from_system()); });
  if (options.vm_generation)
    generation_watch = std::make_unique<VmGenerationWatch>(options.vm_generation(),
                                                           [masks = pool] { masks->drop_stock(); });
}

/// The store, and what computed prompts of it are kept. Returns what the model that guesses gets.
std::size_t Engine::Impl::make_kv(const EngineOptions& options) {
  KvBudget budget = kv_budget(options);
  const KvBudgets budgets = kv_budgets(options, budget.bytes, loader.plan(), draft_model.get());
  budget.bytes = budgets.target;
  kv = make_kv_store(loader.plan(), options, budget);
  kv_tokens = positions_that_fit(*kv, options.batch, options.padding);
  const bool states = kv->layout().state_bytes() != 0; // which only their own sequence can use
  if (options.kv.prefix_cache && original_length(loader.plan()) == 0 && !states)
    prefixes = std::make_shared<kv::PrefixCache>(
        kv, kv->usage().budget / 4, public_prefix(options.kv.public_prefix, tokenizer.get()));
  else if (!options.kv.public_prefix.empty())
    throw Error(Errc::config, "pipeline.kv.public_prefix: computed prompts are not kept "
                              "(pipeline.kv.prefix_cache: false, or a model that does not allow "
                              "it); leave it out");
  return budgets.drafts;
}

void Engine::Impl::start_scheduler(const EngineOptions& options) {
  SchedulerOptions wanted;
  wanted.limits = options.batch;
  wanted.limits.drafts_of_model = draft_model != nullptr;
  wanted.padding = options.padding;
  wanted.ledger = padding_ledger;
  wanted.drafts = draft_ledger;
  wanted.kv = kv;
  wanted.prefixes = prefixes;
  kv_queue = wanted.kv_queue;
  preemptions = wanted.preemptions;
  wanted.tokenizer = tokenizer;
  if (oblivious && tokenizer)
    wanted.token_table =
        std::make_shared<const model::TokenTable>(*tokenizer, /*skip_special=*/true);
  wanted.eos = eos;
  if (loader.pooling()) wanted.pooling = loader.pooling()->kind;
  wanted.original_length = original_length(loader.plan());
  wanted.tracer = tracer.get();
  scheduler = spawn_scheduler(system, std::move(wanted));
  // What runs or waits ends with the scheduler: AnsweredOnce tells each sink.
  vitals->on_broken_inside([actor = caf::actor_cast<caf::actor>(scheduler)](const Error&) {
    caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
  });
}

GraphParts Engine::Impl::graph_parts(const EngineOptions& options) {
  GraphParts parts;
  parts.plan = loader.plan();
  parts.embeddings = embeddings = loader.embeddings();
  parts.per_layer_embeddings = loader.per_layer_embeddings();
  parts.tensors = model::load_enclave_tensors(loader.tensors(), loader.plan());
  if (const auto& pooling = loader.pooling())
    parts.pooler = std::make_shared<const enclave::PoolerShape>(enclave::PoolerShape{
        *pooling, pooling->words.empty()
                      ? parts.tensors.score
                      : yes_or_no(loader.tensors(), loader.plan(), *pooling, *tokenizer)});
  parts.linears = linears;
  parts.pool = pool;
  parts.worker = worker;
  parts.tracer = tracer.get();
  parts.team = std::make_shared<enclave::AttentionTeam>(thread_count(options.threads));
  parts.kv = kv->layout_ptr();
  parts.oblivious = oblivious;
  if (!adapters->all().empty()) parts.adapters = adapters;
  return parts;
}

void Engine::Impl::watch_actors() {
  vitals->watch(caf::actor_cast<caf::actor>(scheduler), "scheduler");
  for (const Graph::Stage& stage : stages) vitals->watch(stage.actor, stage.name);
  vitals->watch(caf::actor_cast<caf::actor>(worker), "worker", Errc::no_worker);
  if (embedded)
    vitals->watch(caf::actor_cast<caf::actor>(embedded), "embedded worker", Errc::no_worker);
  if (session) vitals->watch(caf::actor_cast<caf::actor>(session->dispatcher()), "dispatcher");
}

void Engine::Impl::spawn(const EngineOptions& options) {
  make_mask_pool(options);
  drafts = options.batch.drafts;
  const std::size_t draft_bytes = make_kv(options);
  eos = generation.eos.empty() ? loader.plan().eos : generation.eos;
  start_scheduler(options);
  Graph graph = build_graph(system, graph_parts(options), scheduler);
  stages = std::move(graph.stages);
  if (draft_model) {
    auto guessing = make_drafter(options, draft_model, loader.plan(), tokenizer.get(), draft_bytes);
    drafter = guessing;
    graph.wiring.drafter = spawn_drafter(system, std::move(guessing), scheduler);
    stages.push_back({"drafter", caf::actor_cast<caf::actor>(graph.wiring.drafter)});
  }
  watch_actors();
  caf::anon_send(scheduler, std::move(graph.wiring));
}

void Engine::Impl::assemble(const EngineOptions& options, Progress& progress) {
  validate(options.padding, options.batch.max_rows);
  check_drafts(options, loader);
  draft_model =
      load_draft_model(options, loader, tokenizer.get(), thread_count(options.threads), progress);
  adapters = std::make_shared<const model::AdapterSet>(options.adapters, loader.plan(),
                                                       options.padding.is_on());
  if (options.cluster)
    connect_workers(options);
  else
    embed_worker(options, progress);
  if (options.decorate_worker) {
    embedded = worker;
    worker = options.decorate_worker->decorate(system, worker);
  }
  prepare_linears(options, progress);
  spawn(options);
  if (session) membership = std::make_unique<Membership>(*session, *options.cluster);
}

} // namespace talaria::pipeline
