#include "pipeline/engine.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <mutex>
#include <thread>

#include "actors/actor_end.hpp"
#include "actors/stage_scheduler.hpp"
#include "actors/worker/worker_actor.hpp"
#include "core/aes_rng.hpp"
#include "core/constant_time.hpp"
#include "core/declassify.hpp"
#include "core/machine_memory.hpp"
#include "model/grammar/token_grammar.hpp"
#include "model/token_table.hpp"
#include "pipeline/adapters.hpp"
#include "pipeline/answered_once.hpp"
#include "pipeline/cluster_session.hpp"
#include "pipeline/draft_setup.hpp"
#include "pipeline/graph.hpp"
#include "pipeline/membership.hpp"
#include "pipeline/model_loader.hpp"
#include "pipeline/public_prefix.hpp"
#include "pipeline/scheduler.hpp"
#include "pipeline/vitals.hpp"
#include "pipeline/worker_addresses.hpp"
#include "pipeline/worker_decorator.hpp"
#include "remo/public/public_matrix.hpp"
#include "telemetry/trace_id.hpp"

namespace talaria::pipeline {

namespace {

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

/// Looks at all of them: that there is one may be seen, which it is may not.
bool any_outside(std::span<const u32> tokens, u32 vocab) {
  u32 outside = 0;
  for (const u32 token : tokens) outside |= ~constant_time::less(token, vocab);
  return declassified(outside) != 0;
}

/// @throws Error{usage} for an id outside the vocabulary
void check_ids(const Request& request, u32 vocab) {
  const model::SamplingParameters& sampling = request.sampling;
  std::vector<u32> named;
  for (const auto& [id, bias] : sampling.logit_bias) named.push_back(id);
  for (const auto& word : sampling.banned) named.insert(named.end(), word.begin(), word.end());
  for (const auto* ids : {&sampling.allowed, &sampling.ends, &request.stop_tokens})
    named.insert(named.end(), ids->begin(), ids->end());
  if (any_outside(request.prompt, vocab))
    throw Error(Errc::usage, fmt::format("a prompt token is outside the vocabulary of {}", vocab));
  if (any_outside(named, vocab))
    throw Error(Errc::usage, fmt::format("a token that a parameter names (logit_bias, allowed, "
                                         "banned or stop tokens) is outside the vocabulary of {}",
                                         vocab));
}

[[noreturn]] void wrong_task(const std::string& why) {
  throw Error(Errc::usage, why);
}

/// @throws Error{usage} for a length that an embedding is not cut to
void check_length(u32 dimensions, const model::Pooling& pooling, u32 hidden) {
  if (dimensions == 0 || dimensions == hidden) return;
  const auto& trained = pooling.dimensions;
  if (pooling.task != model::Task::embed || dimensions > hidden ||
      !(pooling.any_dimensions ||
        std::find(trained.begin(), trained.end(), dimensions) != trained.end()))
    wrong_task(fmt::format(
        "dimensions: {} cannot be had of this model, whose embeddings have {}; {}", dimensions,
        hidden,
        trained.empty() ? pooling.any_dimensions
                              ? "ask for as many or fewer"
                              : "its config.json has neither is_matryoshka nor "
                                "matryoshka_dimensions, which say that it may be cut"
                        : fmt::format("it may be cut to {}", fmt::join(trained, ", "))));
}

/// @throws Error{usage} for what the model is not served for
void check_task(const Request& request, const std::optional<model::Pooling>& pooling, u32 hidden) {
  if (!pooling && request.pooled)
    wrong_task(
        "this model is served to generate text; for embeddings or scores it has to be served "
        "with task: embed or task: score");
  if (!pooling) return;
  if (!request.pooled || request.max_tokens != 0)
    wrong_task(fmt::format("this model is served with task: {}, and generates no text",
                           model::to_string(pooling->task)));
  if (request.logits != LogitsWanted::none || request.scores.any() || request.grammar)
    wrong_task("a text that becomes a vector has neither logits nor a grammar");
  check_length(request.dimensions, *pooling, hidden);
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

/// Lists of likely tokens are made by looking where they are.
void check_oblivious(const Request& request) {
  if (request.scores.any())
    throw Error(Errc::usage, "logprobs cannot be had with enclave.oblivious: on, since what is "
                             "done for them shows the tokens");
  if (!request.skip_special)
    throw Error(Errc::usage, "special tokens cannot be shown with enclave.oblivious: on, which has "
                             "no table for them");
}

/// Memory for keys and values, and how it came about.
struct KvBudget {
  std::size_t bytes = 0;
  bool is_set = true;        ///< by pipeline.kv.memory
  std::size_t available = 0; ///< otherwise: what the machine has to spare
  std::size_t masks = 0;     ///< and what of it the stock of masks may take
};

/// Half of the memory that is available when the stock of masks is full, which takes half as much
/// again while it is refilled.
KvBudget kv_budget(const EngineOptions& options) {
  if (options.kv.memory_bytes != 0) return {options.kv.memory_bytes};
  constexpr std::size_t kUnknown = std::size_t{4} << 30;
  const std::size_t available = available_memory();
  if (available == 0) return {kUnknown};
  const std::size_t masks = 3 * options.pool.memory_bytes / 2;
  return {(available - std::min(available, masks)) / 2, false, available, masks};
}

[[noreturn]] void too_little(const KvBudget& budget, std::size_t needed) {
  constexpr std::size_t kMiB = std::size_t{1} << 20;
  if (budget.is_set)
    throw Error(Errc::config, fmt::format("pipeline.kv.memory: {} bytes hold no sequence of this "
                                          "model; one of 64 tokens takes {}",
                                          budget.bytes, needed));
  throw Error(
      Errc::config,
      fmt::format("pipeline.kv.memory: auto leaves {} bytes for keys and values, and a sequence of "
                  "64 tokens takes {}: {} MiB are available, of which masks may take {} MiB; free "
                  "some, lower masking.pool_memory, or set pipeline.kv.memory",
                  budget.bytes, needed, budget.available / kMiB, budget.masks / kMiB));
}

std::shared_ptr<kv::Store> make_kv_store(const arch::ModelPlan& plan, const EngineOptions& options,
                                         const KvBudget& budget) {
  auto layout = std::make_shared<const kv::Layout>(plan, options.kv.format);
  const std::size_t needed = layout->bytes_for(64, 64);
  if (budget.bytes < needed) too_little(budget, needed); // a store of nothing is none
  auto store = std::make_shared<kv::Store>(std::move(layout), budget.bytes);
  if (positions_that_fit(*store, options.batch, options.padding) < 2) too_little(budget, needed);
  return store;
}

std::size_t thread_count(std::size_t asked) {
  return asked != 0 ? asked : std::max(1U, std::thread::hardware_concurrency());
}

} // namespace

struct Engine::Impl {
  explicit Impl(const EngineOptions& options)
      : spare_masks(LargeMemory::process(), 3 * options.pool.memory_bytes / 2),
        opened(open_model(options)), loader(*opened), tokenizer(load_tokenizer(loader)),
        generation(tokenizer ? model::load_generation_config(loader.files()->texts())
                             : model::GenerationConfig{}),
        tracer(make_tracer(options)), system_config(thread_count(options.threads)),
        system(system_config) {}
  ~Impl();

  /// Memory of used-up masks waits for the next refill, which may be nearly all that the pool
  /// holds, rounded up to blocks. So it never takes more than it once had.
  LargeMemory::Allowance spare_masks;
  std::shared_ptr<const ModelLoader> opened;
  const ModelLoader& loader;                         ///< *opened
  std::shared_ptr<const model::Tokenizer> tokenizer; ///< null: the model is no folder
  model::GenerationConfig generation;
  std::unique_ptr<telemetry::Tracer> tracer;
  std::string warning;
  std::size_t hint_bytes = 0;

  std::shared_ptr<worker::ProductEngine> products; ///< null with remote workers
  std::shared_ptr<worker::WorkerLedger> ledger = std::make_shared<worker::WorkerLedger>();
  std::vector<std::shared_ptr<const remo::MaskedLinear>> linears;
  std::shared_ptr<const model::EmbeddingTable> embeddings;
  std::shared_ptr<remo::MaskPool> pool;
  std::shared_ptr<PaddingLedger> padding_ledger = std::make_shared<PaddingLedger>();
  std::shared_ptr<DraftLedger> draft_ledger = std::make_shared<DraftLedger>();
  u32 drafts = 0;                                    ///< the most in a round
  std::shared_ptr<DraftModel> draft_model;           ///< null: the context makes them
  std::shared_ptr<const Drafter> drafter;            ///< of the same
  std::shared_ptr<const model::AdapterSet> adapters; ///< never null
  std::shared_ptr<kv::Store> kv;
  std::shared_ptr<kv::PrefixCache> prefixes;          ///< null: none
  u32 kv_tokens = 0;                                  ///< that a sequence may have if it is alone
  std::shared_ptr<std::atomic<std::size_t>> kv_queue; ///< SchedulerOptions::kv_queue
  std::shared_ptr<std::atomic<u64>> preemptions;      ///< SchedulerOptions::preemptions

  StageSchedulerConfig system_config;
  caf::actor_system system;
  std::unique_ptr<ClusterSession> session; ///< null with an embedded worker
  std::unique_ptr<Membership> membership;  ///< of the session, once the model is loaded
  mutable std::mutex session_mutex;
  worker::Worker worker;   ///< whom the stages ask
  worker::Worker embedded; ///< the one behind it, if it is decorated
  Scheduler scheduler;
  std::vector<Graph::Stage> stages;
  std::shared_ptr<Vitals> vitals = std::make_shared<Vitals>();
  std::vector<u32> eos; ///< tokens that end an answer
  bool oblivious = false;
  std::once_flag tree_made;
  std::shared_ptr<const model::grammar::TokenTree> tree; ///< of the tokens, once a grammar is asked
  std::atomic<u64> last_sequence{0};
  std::unique_ptr<VmGenerationWatch> generation_watch; ///< of the pool

  void embed_worker(const EngineOptions& options, Progress& progress);
  void connect_workers(const EngineOptions& options);
  HintCacheOptions kept_hint_options(const EngineOptions& options) const;
  void prepare_linears(const EngineOptions& options, Progress& progress);
  std::shared_ptr<const remo::MaskedLinear> prepare(remo::MaskingScheme& scheme,
                                                    const remo::LinearSpec& spec, HintCache& hints,
                                                    const WorkerHints& source, Rng& rng,
                                                    Progress& progress);
  void spawn(const EngineOptions& options);
};

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

void Engine::Impl::spawn(const EngineOptions& options) {
  std::vector<const remo::MaskedLinear*> raw;
  for (const auto& linear : linears) raw.push_back(linear.get());
  pool = std::make_shared<remo::MaskPool>(
      raw, options.pool, [] { return std::make_unique<AesRng>(AesRng::from_system()); });
  if (options.vm_generation)
    generation_watch = std::make_unique<VmGenerationWatch>(options.vm_generation(),
                                                           [masks = pool] { masks->drop_stock(); });

  SchedulerOptions scheduler_options;
  scheduler_options.limits = options.batch;
  scheduler_options.padding = options.padding;
  scheduler_options.ledger = padding_ledger;
  scheduler_options.drafts = draft_ledger;
  drafts = options.batch.drafts;
  scheduler_options.limits.drafts_of_model = draft_model != nullptr;
  KvBudget budget = kv_budget(options);
  const KvBudgets budgets = kv_budgets(options, budget.bytes, loader.plan(), draft_model.get());
  budget.bytes = budgets.target;
  scheduler_options.kv = kv = make_kv_store(loader.plan(), options, budget);
  kv_tokens = positions_that_fit(*kv, options.batch, options.padding);
  kv_queue = scheduler_options.kv_queue;
  preemptions = scheduler_options.preemptions;
  const bool states = kv->layout().state_bytes() != 0; // which only their own sequence can use
  if (options.kv.prefix_cache && original_length(loader.plan()) == 0 && !states)
    prefixes = std::make_shared<kv::PrefixCache>(
        kv, kv->usage().budget / 4, public_prefix(options.kv.public_prefix, tokenizer.get()));
  else if (!options.kv.public_prefix.empty())
    throw Error(Errc::config, "pipeline.kv.public_prefix: computed prompts are not kept "
                              "(pipeline.kv.prefix_cache: false, or a model that does not allow "
                              "it); leave it out");
  scheduler_options.prefixes = prefixes;
  scheduler_options.tokenizer = tokenizer;
  if (options.oblivious && tokenizer)
    scheduler_options.token_table =
        std::make_shared<const model::TokenTable>(*tokenizer, /*skip_special=*/true);
  eos = generation.eos.empty() ? loader.plan().eos : generation.eos;
  oblivious = options.oblivious;
  scheduler_options.eos = eos;
  if (loader.pooling()) scheduler_options.pooling = loader.pooling()->kind;
  scheduler_options.original_length = original_length(loader.plan());
  scheduler_options.tracer = tracer.get();
  scheduler = spawn_scheduler(system, std::move(scheduler_options));
  // What runs or waits ends with the scheduler: AnsweredOnce tells each sink.
  vitals->on_broken_inside([actor = caf::actor_cast<caf::actor>(scheduler)](const Error&) {
    caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
  });
  vitals->watch(caf::actor_cast<caf::actor>(scheduler), "scheduler");

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
  parts.oblivious = options.oblivious;
  if (!adapters->all().empty()) parts.adapters = adapters;
  Graph graph = build_graph(system, parts, scheduler);
  stages = std::move(graph.stages);
  if (draft_model) {
    auto guessing =
        make_drafter(options, draft_model, loader.plan(), tokenizer.get(), budgets.drafts);
    drafter = guessing;
    graph.wiring.drafter = spawn_drafter(system, std::move(guessing), scheduler);
    stages.push_back({"drafter", caf::actor_cast<caf::actor>(graph.wiring.drafter)});
  }
  for (const Graph::Stage& stage : stages) vitals->watch(stage.actor, stage.name);
  vitals->watch(caf::actor_cast<caf::actor>(worker), "worker", Errc::no_worker);
  if (embedded)
    vitals->watch(caf::actor_cast<caf::actor>(embedded), "embedded worker", Errc::no_worker);
  if (session) vitals->watch(caf::actor_cast<caf::actor>(session->dispatcher()), "dispatcher");
  caf::anon_send(scheduler, std::move(graph.wiring));
}

Engine::Engine(const EngineOptions& options, Progress& progress)
    : impl_(std::make_unique<Impl>(options)) {
  validate(options.padding, options.batch.max_rows);
  check_drafts(options, impl_->loader);
  impl_->draft_model = load_draft_model(options, impl_->loader, impl_->tokenizer.get(),
                                        thread_count(options.threads), progress);
  impl_->adapters = std::make_shared<const model::AdapterSet>(
      options.adapters, impl_->loader.plan(), options.padding.is_on());
  if (options.cluster)
    impl_->connect_workers(options);
  else
    impl_->embed_worker(options, progress);
  if (options.decorate_worker) {
    impl_->embedded = impl_->worker;
    impl_->worker = options.decorate_worker->decorate(impl_->system, impl_->worker);
  }
  impl_->prepare_linears(options, progress);
  impl_->spawn(options);
  if (impl_->session)
    impl_->membership = std::make_unique<Membership>(*impl_->session, *options.cluster);
}

Engine::~Engine() = default;

const arch::ModelPlan& Engine::plan() const {
  return impl_->loader.plan();
}
const std::optional<model::Pooling>& Engine::pooling() const {
  return impl_->loader.pooling();
}

void Engine::check_dimensions(u32 dimensions) const {
  if (pooling()) check_length(dimensions, *pooling(), plan().hidden);
}
u32 Engine::longest_prompt() const {
  const auto& pooling = impl_->loader.pooling();
  const u32 own = pooling && pooling->max_tokens != 0 ? pooling->max_tokens : plan().max_position;
  return std::min(own, plan().max_position);
}
const model::Tokenizer& Engine::tokenizer() const {
  if (!impl_->tokenizer) throw Error(Errc::internal, "a model in memory has no tokenizer");
  return *impl_->tokenizer;
}
const model::GenerationConfig& Engine::generation_config() const {
  return impl_->generation;
}
const model::ModelFiles& Engine::model_files() const {
  if (impl_->loader.files() == nullptr)
    throw Error(Errc::internal, "a model in memory has no files");
  return *impl_->loader.files();
}
bool Engine::oblivious() const {
  return impl_->oblivious;
}
const std::vector<model::AdapterPtr>& Engine::adapters() const {
  return impl_->adapters->all();
}
model::AdapterPtr Engine::adapter(std::string_view name) const {
  return named_adapter(*impl_->adapters, name);
}
const std::string& Engine::warning() const {
  return impl_->warning;
}
std::size_t Engine::hint_bytes() const {
  return impl_->hint_bytes;
}

std::optional<Error> Engine::broken() const {
  return impl_->vitals->broken();
}
void Engine::on_broken(std::function<void(const Error&)> action) {
  impl_->vitals->on_broken(std::move(action));
}

enclave::SequenceId Engine::submit(Request request, std::shared_ptr<RequestSink> sink) {
  if (const auto error = broken()) throw *error;
  const arch::ModelPlan& model = plan();
  const std::size_t length = request.prompt.size();
  if (length == 0) throw Error(Errc::usage, "the prompt is empty; give at least one token");
  check_task(request, pooling(), model.hidden);
  if (length > longest_prompt())
    throw Error(Errc::usage, fmt::format("the prompt has {} tokens; the model's context holds {}",
                                         length, longest_prompt()));
  if (request.max_tokens > 0 && length == model.max_position)
    throw Error(Errc::usage, fmt::format("the prompt fills the context of {} tokens; nothing can "
                                         "be generated behind it",
                                         length));
  const std::size_t room = impl_->kv_tokens;
  if (length + std::min(request.max_tokens, 1U) > room)
    throw Error(
        Errc::usage,
        fmt::format("the prompt has {} tokens; the memory for keys and values (pipeline.kv, "
                    "{} bytes) holds {} tokens of one request",
                    length, impl_->kv->usage().budget, room));
  if (request.max_tokens == 0 && !request.pooled && request.logits == LogitsWanted::none &&
      !request.scores.prompt)
    throw Error(Errc::usage, "max_tokens is 0: nothing to generate; ask for at least one token");
  request.sampling.validate();
  if (request.sampling.min_tokens > 0) {
    auto& ends = request.sampling.ends;
    ends.insert(ends.end(), request.stop_tokens.begin(), request.stop_tokens.end());
    if (!request.ignore_eos) ends.insert(ends.end(), impl_->eos.begin(), impl_->eos.end());
  }
  check_ids(request, model.vocab);
  if (request.adapter) take_adapter(*impl_->adapters, request);
  if (impl_->oblivious) check_oblivious(request);
  request.drafts = request.drafts.value_or(impl_->drafts);
  if (*request.drafts > impl_->drafts)
    throw Error(Errc::usage, fmt::format("{} drafts in each round are asked for; expected at most "
                                         "{} (pipeline.speculate)",
                                         *request.drafts, impl_->drafts));
  const std::size_t most = std::min<std::size_t>(model.max_position, room);
  request.max_tokens = std::min(request.max_tokens, static_cast<u32>(most - length));
  if (request.trace == 0) request.trace = telemetry::new_trace_id();
  Submit submit;
  const enclave::SequenceId sequence = ++impl_->last_sequence;
  submit.sequence = sequence;
  submit.sink = std::make_shared<AnsweredOnce>(std::move(sink), impl_->vitals, request.trace);
  submit.request = std::make_shared<const Request>(std::move(request));
  caf::anon_send(impl_->scheduler, std::move(submit));
  return sequence;
}

std::shared_ptr<model::grammar::TokenGrammar> Engine::grammar(const model::grammar::Rules& rules) {
  using namespace model::grammar;
  if (impl_->oblivious)
    throw Error(Errc::usage, "grammars cannot be had with enclave.oblivious: on, since what they "
                             "allow depends on the tokens before");
  std::call_once(impl_->tree_made, [this] {
    impl_->tree = std::make_shared<const TokenTree>(TokenTree::of(tokenizer()));
  });
  return std::make_shared<TokenGrammar>(rules, impl_->tree, impl_->eos);
}

void Engine::cancel(enclave::SequenceId sequence) {
  Cancel cancel;
  cancel.sequence = sequence;
  caf::anon_send(impl_->scheduler, std::move(cancel));
}

void Engine::cancel_all() {
  if (impl_->scheduler) caf::anon_send(impl_->scheduler, CancelAll{});
}

std::shared_ptr<worker::ProductEngine> Engine::products() const {
  return impl_->products;
}

std::shared_ptr<const model::EmbeddingTable> Engine::embeddings() const {
  return impl_->embeddings;
}

std::vector<std::shared_ptr<const remo::MaskedLinear>> Engine::linears() const {
  return impl_->linears;
}

void Engine::set_workers(const std::vector<ClusterNode>& workers,
                         const cluster::FaultPolicy& policy) {
  if (!impl_->membership)
    throw Error(Errc::config, "the worker is inside this process; others can only be had by a "
                              "start with a configuration that names them");
  impl_->membership->set_workers(workers, policy);
}

bool Engine::every_layer_is_ready() const {
  if (!impl_->session) return true;
  const std::lock_guard lock(impl_->session_mutex);
  return impl_->session->health().covered;
}

std::vector<WorkerReport> Engine::workers() const {
  if (!impl_->session) {
    const auto totals = impl_->ledger->totals();
    WorkerReport report;
    report.name = report.address = "embedded";
    report.state = "ready";
    report.weight_bytes = impl_->products->weight_bytes();
    report.requests = totals.requests;
    report.rows = totals.rows;
    report.bytes_in = totals.bytes_in;
    report.bytes_out = totals.bytes_out;
    return {report};
  }
  const std::lock_guard lock(impl_->session_mutex);
  std::vector<WorkerReport> reports;
  for (const cluster::NodeHealth& node : impl_->session->health().nodes)
    reports.push_back({node.name, node.address, to_string(node.state), node.last_error,
                       node.weight_bytes, node.products, node.rows, node.bytes_up, node.bytes_down,
                       node.reconnects, node.in_flight, node.strikes, node.round_trip_ms,
                       node.attestation});
  return reports;
}

remo::MaskedTensor Engine::last_seen() const {
  if (!impl_->session) return impl_->ledger->last_seen();
  const std::lock_guard lock(impl_->session_mutex);
  return impl_->session->health().last_seen;
}

remo::MaskPool::Stats Engine::mask_stats() const {
  return impl_->pool->stats();
}
KvReport Engine::kv_report() const {
  return {impl_->kv->layout().format(),
          impl_->kv->usage(),
          impl_->kv_tokens,
          *impl_->kv_queue,
          *impl_->preemptions,
          impl_->prefixes ? impl_->prefixes->counts() : kv::PrefixCache::Counts{}};
}
telemetry::StageTimes Engine::stage_times() const {
  return impl_->tracer ? impl_->tracer->stage_times() : telemetry::StageTimes{};
}
void Engine::wait_for_masks() {
  impl_->pool->wait_until_full();
}
PaddingCost Engine::padding_cost() const {
  return impl_->padding_ledger->cost();
}
DraftCounts Engine::draft_counts() const {
  return impl_->draft_ledger->counts();
}
DraftCounts Engine::draft_counts(DraftKind kind) const {
  return impl_->draft_ledger->counts(kind);
}
std::optional<DraftModelReport> Engine::draft_model() const {
  if (!impl_->drafter) return std::nullopt;
  const kv::Usage usage = impl_->drafter->usage();
  return DraftModelReport{impl_->draft_model->weight_bytes(), usage.budget, usage.used};
}
u32 Engine::drafts() const {
  return impl_->drafts;
}
void Engine::wait_until_idle() {
  Drain drain;
  drain.idle = std::make_shared<std::promise<void>>();
  auto idle = drain.idle->get_future();
  caf::anon_send(impl_->scheduler, std::move(drain));
  idle.wait();
}
void Engine::pause_trace(bool paused) {
  if (impl_->tracer) impl_->tracer->pause(paused);
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
