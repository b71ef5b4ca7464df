#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "actors/worker/product_engine.hpp"
#include "core/progress.hpp"
#include "core/vm_generation.hpp"
#include "kv/prefix_cache.hpp"
#include "kv/store.hpp"
#include "model/adapter/adapter_set.hpp"
#include "model/chat_template.hpp"
#include "model/generation_config.hpp"
#include "model/tokenizer.hpp"
#include "model/weights/model_files.hpp"
#include "model/weights/pooling.hpp"
#include "model/weights/quantized.hpp"
#include "pipeline/batch_planner.hpp"
#include "pipeline/cluster_plan.hpp"
#include "pipeline/hint_cache.hpp"
#include "pipeline/request.hpp"
#include "remo/mask_pool.hpp"
#include "remo/masking_scheme.hpp"
#include "telemetry/stage_times.hpp"

namespace talaria::model::grammar {
struct Rules;
}

namespace talaria::pipeline {

class ModelLoader;
struct WorkerDecorator;

/// Memory for keys and values (`pipeline.kv` of pipeline.yaml).
struct KvOptions {
  /// Bytes; 0: half of what the machine has to spare once the model is loaded and masks are
  /// stocked.
  std::size_t memory_bytes = 0;
  kv::Format format = kv::Format::fp32;
  /// Keep what sequences with an owner have computed, for others of the same owner: up to a quarter
  /// of the memory each. Off under padding, and for models whose RoPE depends on the length.
  bool prefix_cache = true;
  /// What prompts of everybody may begin with, and share: a file of text, or of a JSON list of
  /// token ids. Empty: nothing is shared between owners.
  std::filesystem::path public_prefix;
};

/// Memory for keys and values as it is now.
struct KvReport {
  kv::Format format = kv::Format::fp32;
  kv::Usage usage;
  u32 max_tokens = 0;     ///< that a sequence may have if it is alone, prompt and answer
  std::size_t queued = 0; ///< sequences that wait for memory
  u64 preemptions = 0;    ///< times one gave its memory to another and began again
  kv::PrefixCache::Counts prefixes;
};

struct EngineOptions {
  std::filesystem::path model_dir;
  std::optional<Sha256Digest> model_sha256; ///< what the model's root must be; nothing: anything
  std::optional<model::Task> task;          ///< what it is served for; nothing: what its files say
  remo::SchemeOptions scheme;
  model::WeightFormat weights = model::WeightFormat::int8;
  std::size_t threads = 0; ///< of the stages, and of the worker's products; 0: all cores
  BatchLimits batch;
  DraftModelOptions draft_model; ///< that makes the drafts of `batch`; not set: the context does
  Padding padding;               ///< of what workers can count; off unless set
  /// Embeddings, sampling and the bytes of tokens are looked up in time and at addresses that tell
  /// nothing of tokens and logits (docs/threat_model.md, "Which row is read"). The same answers.
  bool oblivious = false;
  remo::MaskPool::Options pool;
  KvOptions kv;
  std::filesystem::path trace; ///< empty: no trace
  /// Engine::stage_times() counts also without a trace. Costs what tracing does, less the memory.
  bool stage_times = false;
  /// Workers on other machines; nothing: one worker inside this process.
  std::optional<ClusterOptions> cluster;
  HintCacheOptions hints; ///< for remote workers; an embedded one computes hints as fast as a disk
  /// A model that is open already, in the place of model_dir, weights and task.
  std::shared_ptr<const ModelLoader> model;
  /// The embedded worker's weights, loaded by another engine of the same model and parameters
  /// (Engine::products()); null: this engine loads them.
  std::shared_ptr<worker::ProductEngine> products;
  /// The same for what this side prepared of each matrix (Engine::linears()), of the same scheme as
  /// well; empty: this engine prepares it.
  std::vector<std::shared_ptr<const remo::MaskedLinear>> linears;
  /// Where news come from that this virtual machine was copied; masks in stock are dropped then.
  std::function<std::unique_ptr<VmGenerationSource>()> vm_generation = kernel_vm_generation;
  /// What requests may add to the model's matrices, each of this model (load_adapters()).
  std::vector<model::AdapterPtr> adapters;
  /// Who stands in front of the embedded worker (pipeline/worker_decorator.hpp); null: nobody.
  std::shared_ptr<const WorkerDecorator> decorate_worker;
};

/// What a worker has been asked so far, and how it is.
struct WorkerReport {
  std::string name;
  std::string address;    ///< "embedded", or HOST:PORT
  std::string state;      ///< ready, connecting or quarantined
  std::string last_error; ///< why it is not, or last was not, ready
  std::size_t weight_bytes = 0;
  u64 requests = 0;
  u64 rows = 0;
  u64 bytes_in = 0;  ///< masked tensors
  u64 bytes_out = 0; ///< products
  u64 reconnects = 0;
  u32 in_flight = 0;
  u32 strikes = 0;
  double round_trip_ms = 0;
  std::string attestation; ///< "until ...", "refused"; empty: it has not asked for evidence
};

/// A loaded model ready to answer: the enclave, and its workers in this process or elsewhere.
/// Thread-safe.
class Engine {
public:
  /// Loads, quantises, hands the weights to the embedded worker or connects to remote ones, fetches
  /// and verifies the hints.
  /// @throws Error as the rooms below do.
  Engine(const EngineOptions& options, Progress& progress);
  ~Engine(); ///< cancels what runs, ends every actor, wipes the masks

  const arch::ModelPlan& plan() const;
  /// How texts become embeddings or scores, if that is what the model is served for; nothing: it
  /// generates.
  const std::optional<model::Pooling>& pooling() const;
  /// @throws Error{usage} for a length that this model's embeddings are not cut to; 0: all of it
  void check_dimensions(u32 dimensions) const;
  /// The most tokens that a prompt may have.
  u32 longest_prompt() const;
  /// @throws Error{internal} for a model in memory, which has none.
  const model::Tokenizer& tokenizer() const;
  const model::GenerationConfig& generation_config() const;
  /// What was read of the model's folder, chat template and all.
  /// @throws Error{internal} for a model in memory.
  const model::ModelFiles& model_files() const;
  /// Whether EngineOptions::oblivious was set.
  bool oblivious() const;
  /// What requests may name: EngineOptions::adapters.
  const std::vector<model::AdapterPtr>& adapters() const;
  /// @throws Error{usage} if there is none of this name; the others are named.
  model::AdapterPtr adapter(std::string_view name) const;
  /// Line to print about the scheme in use; empty for lattice.
  const std::string& warning() const;
  std::size_t hint_bytes() const;

  /// Why nothing can be answered any more: one of the actors inside ended, by an exception or an
  /// exit. Every request that ran or waited has ended with this error, or is about to, and
  /// submit() throws it. Nothing brings such an engine back; the process should end.
  std::optional<Error> broken() const;
  /// What is done once with that error, on a thread of the engine, which must not be ended there;
  /// at once if the engine is broken already. Null: nothing. No action runs once this has returned.
  void on_broken(std::function<void(const Error&)> action);

  /// Keeps answers inside a grammar; given to one request, or to several.
  /// @throws Error{usage} for a grammar that is too large, or an oblivious engine
  std::shared_ptr<model::grammar::TokenGrammar> grammar(const model::grammar::Rules& rules);

  /// @throws Error{usage} for an empty prompt, an id outside the vocabulary, a prompt longer than
  /// the context or than its keys and values may be, more drafts than the engine makes, scores and
  /// special tokens of an oblivious engine, an adapter of another engine, or what the model is not
  /// served for (pooling()).
  /// max_tokens is cut to what the context and the memory for keys and values hold; a request that
  /// finds the memory taken by others waits. The sink is told everything else, possibly before this
  /// returns; whatever happens, it hears finished() once. Returns the request's name for cancel().
  enclave::SequenceId submit(Request request, std::shared_ptr<RequestSink> sink);
  /// Ends one request; its sink hears FinishReason::cancelled. Nothing happens if it is over.
  void cancel(enclave::SequenceId sequence);
  /// Ends every request; each sink hears FinishReason::cancelled.
  void cancel_all();

  /// The embedded worker's weights, for another engine to share; null with remote workers.
  std::shared_ptr<worker::ProductEngine> products() const;

  /// The table that tokens are looked up in: for audits that watch its pages.
  std::shared_ptr<const model::EmbeddingTable> embeddings() const;

  /// The hints and checks of every matrix, for another engine to share.
  std::vector<std::shared_ptr<const remo::MaskedLinear>> linears() const;

  /// The workers are these from now on, and what of `policy` can change meanwhile is what it says:
  /// deadline, request_deadline and retries. Returns at once. New workers are used when what they
  /// must hold is known here and they are ready; those that are not named leave when they are not
  /// needed any more, and no answer is lost or changed by any of it.
  /// @throws Error{config} as plan_cluster() does, and for an engine with an embedded worker:
  /// nothing changes then.
  void set_workers(const std::vector<ClusterNode>& workers, const cluster::FaultPolicy& policy);
  /// Whether every column of every matrix has a worker that is ready.
  bool every_layer_is_ready() const;
  /// One entry per worker: those of the configuration first, in its order, then those that came
  /// later.
  std::vector<WorkerReport> workers() const;
  /// The last masked rows that a worker was shown.
  remo::MaskedTensor last_seen() const;
  remo::MaskPool::Stats mask_stats() const;
  KvReport kv_report() const;
  /// What every stage has taken so far; nothing is counted unless EngineOptions::stage_times or a
  /// trace was asked for.
  telemetry::StageTimes stage_times() const;
  /// Blocks until the mask pool is full: for measurements of steady state.
  void wait_for_masks();
  /// What padding cost so far; rows are counted without it too.
  PaddingCost padding_cost() const;
  /// What guessing tokens has come to so far.
  DraftCounts draft_counts() const;
  DraftCounts draft_counts(DraftKind kind) const;
  /// The model that guesses; nothing: none does.
  std::optional<DraftModelReport> draft_model() const;
  /// Tokens that are guessed in each round of a request that does not say: BatchLimits::drafts.
  u32 drafts() const;
  /// Blocks until no request runs and every dummy round that padding asks for behind the end of an
  /// answer has been sent. Whoever ends the process earlier shows how long its last answers were.
  void wait_until_idle();
  /// Stops and resumes tracing, if there is a trace: to measure what it costs.
  void pause_trace(bool paused);
  /// Writes the trace file, if one was asked for. @throws Error{io}
  void write_trace();

private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Runs one request and waits. @throws the request's error.
Completion run_to_end(Engine& engine, Request request);

} // namespace talaria::pipeline
