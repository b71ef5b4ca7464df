#include "pipeline/engine.hpp"

#include <algorithm>
#include <future>

#include "pipeline/adapters.hpp"
#include "pipeline/answered_once.hpp"
#include "pipeline/engine_impl.hpp"
#include "pipeline/request_checks.hpp"
#include "telemetry/trace_id.hpp"

namespace talaria::pipeline {

Engine::Engine(const EngineOptions& options, Progress& progress)
    : impl_(std::make_unique<Impl>(options)) {
  impl_->assemble(options, progress);
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
  settle(request, {.plan = plan(),
                   .pooling = pooling(),
                   .adapters = *impl_->adapters,
                   .eos = impl_->eos,
                   .longest_prompt = longest_prompt(),
                   .kv_tokens = impl_->kv_tokens,
                   .kv_bytes = impl_->kv->usage().budget,
                   .drafts = impl_->drafts,
                   .oblivious = impl_->oblivious});
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
