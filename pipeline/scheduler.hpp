#pragma once

#include <atomic>
#include <future>
#include <memory>
#include <vector>

#include "actors/enclave/messages.hpp"
#include "model/tokenizer.hpp"
#include "model/weights/pooling.hpp"
#include "pipeline/batch_planner.hpp"
#include "pipeline/drafter_actor.hpp"
#include "pipeline/request.hpp"
#include "telemetry/tracer.hpp"

namespace talaria::pipeline {

/// The stages the scheduler talks to, told once the graph stands.
struct Wiring : enclave::StaysInEnclave {
  enclave::EmbedStage entrance;
  enclave::SamplerStage sampler;
  std::vector<enclave::AttentionStage> attention;
  DrafterActor drafter; ///< with BatchLimits::drafts_of_model; else null
};
struct Submit : enclave::StaysInEnclave {
  enclave::SequenceId sequence = 0;
  std::shared_ptr<const Request> request;
  std::shared_ptr<RequestSink> sink;
};
/// Ends one request, if it has not ended, with FinishReason::cancelled.
struct Cancel : enclave::StaysInEnclave {
  enclave::SequenceId sequence = 0;
};
/// Ends every request that runs or waits, with FinishReason::cancelled.
struct CancelAll : enclave::StaysInEnclave {};
/// Asks to be told when no request runs and no dummy round is left.
struct Drain : enclave::StaysInEnclave {
  std::shared_ptr<std::promise<void>> idle;
};
/// The time for paced micro-batches has come; the scheduler sends it to itself.
struct Tick : enclave::StaysInEnclave {};

using Scheduler =
    caf::typed_actor<caf::reacts_to<Wiring>, caf::reacts_to<Submit>, caf::reacts_to<Cancel>,
                     caf::reacts_to<CancelAll>, caf::reacts_to<Drain>, caf::reacts_to<Tick>,
                     caf::reacts_to<Drafted>, caf::reacts_to<enclave::Sampled>,
                     caf::reacts_to<enclave::Failure>>;

/// What the scheduler knows of the model.
struct SchedulerOptions {
  BatchLimits limits;
  Padding padding;
  std::shared_ptr<PaddingLedger> ledger = std::make_shared<PaddingLedger>();
  std::shared_ptr<DraftLedger> drafts = std::make_shared<DraftLedger>();
  std::shared_ptr<kv::Store> kv;             ///< of the graph's layers
  std::shared_ptr<kv::PrefixCache> prefixes; ///< over the same; null: none
  /// Sequences that wait for memory, for anyone to read.
  std::shared_ptr<std::atomic<std::size_t>> kv_queue =
      std::make_shared<std::atomic<std::size_t>>(0);
  /// Sequences that gave their memory to others so far and begin again, likewise.
  std::shared_ptr<std::atomic<u64>> preemptions = std::make_shared<std::atomic<u64>>(0);
  std::shared_ptr<const model::Tokenizer> tokenizer;    ///< null: answers have no text
  std::shared_ptr<const model::TokenTable> token_table; ///< null: tokens are read at their places
  std::vector<u32> eos;
  model::PoolingKind pooling = model::PoolingKind::last; ///< of requests that ask for it
  /// Where a RoPE has other frequencies for longer sequences (arch::Rope::original_length); 0:
  /// nowhere. A sequence that grows beyond starts again from its first token.
  u32 original_length = 0;
  telemetry::Tracer* tracer = nullptr;
};

/// Admits requests, forms micro-batches, keeps a bounded number of them in flight, and turns
/// sampled tokens into text. With a pace, micro-batches start at its multiples only; one that is
/// late starts nothing until the next.
///
///   Submit ──► scheduler ──► Admit(micro-batch) ──► embed ──► ... ──► sampler
///                  ▲                                                    │
///                  └──────────────── Sampled | Failure ◄────────────────┘
///   scheduler ──► OrderDrafts ──► drafter ──► Drafted ──► scheduler, if a model guesses
Scheduler spawn_scheduler(caf::actor_system& system, SchedulerOptions options);

} // namespace talaria::pipeline
