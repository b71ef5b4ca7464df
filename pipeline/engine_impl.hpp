#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "actors/stage_scheduler.hpp"
#include "actors/worker/worker_actor.hpp"
#include "model/grammar/token_grammar.hpp"
#include "pipeline/cluster_session.hpp"
#include "pipeline/draft_setup.hpp"
#include "pipeline/engine.hpp"
#include "pipeline/graph.hpp"
#include "pipeline/membership.hpp"
#include "pipeline/model_loader.hpp"
#include "pipeline/scheduler.hpp"
#include "pipeline/vitals.hpp"

namespace talaria::pipeline {

class WorkerHints;

/// What an engine consists of; how it is put together is in engine_assembly.cpp. The members' order
/// is that of their construction: what is declared later uses what stands before it.
struct Engine::Impl {
  /// Opens the model; nothing is spawned yet, so that whatever assemble() leaves half done, the
  /// destructor ends it.
  explicit Impl(const EngineOptions& options);
  ~Impl();

  /// Memory of used-up masks waits for the next refill, which may be nearly all that the pool
  /// holds, rounded up to blocks. So it never takes more than it once had.
  LargeMemory::Allowance spare_masks;
  std::shared_ptr<const ModelLoader> opened;
  const ModelLoader& loader;                         ///< *opened
  std::shared_ptr<const model::Tokenizer> tokenizer; ///< null: the model is no folder
  model::GenerationConfig generation;
  std::unique_ptr<telemetry::Tracer> tracer;
  bool oblivious = false; ///< EngineOptions::oblivious
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
  std::once_flag tree_made;
  std::shared_ptr<const model::grammar::TokenTree> tree; ///< of the tokens, once a grammar is asked
  std::atomic<u64> last_sequence{0};
  std::unique_ptr<VmGenerationWatch> generation_watch; ///< of the pool

  /// @throws Error as Engine's constructor does
  void assemble(const EngineOptions& options, Progress& progress);

private:
  void embed_worker(const EngineOptions& options, Progress& progress);
  void connect_workers(const EngineOptions& options);
  HintCacheOptions kept_hint_options(const EngineOptions& options) const;
  void prepare_linears(const EngineOptions& options, Progress& progress);
  std::shared_ptr<const remo::MaskedLinear> prepare(remo::MaskingScheme& scheme,
                                                    const remo::LinearSpec& spec, HintCache& hints,
                                                    const WorkerHints& source, Rng& rng,
                                                    Progress& progress);
  void make_mask_pool(const EngineOptions& options);
  std::size_t make_kv(const EngineOptions& options);
  void start_scheduler(const EngineOptions& options);
  GraphParts graph_parts(const EngineOptions& options);
  void watch_actors();
  void spawn(const EngineOptions& options);
};

} // namespace talaria::pipeline
