#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/worker/worker_actor.hpp"
#include "core/progress.hpp"
#include "model/chat_template.hpp"
#include "model/generation_config.hpp"
#include "model/tokenizer.hpp"
#include "model/weights/model_config.hpp"
#include "pipeline/batch_planner.hpp"
#include "pipeline/request.hpp"
#include "remo/mask_pool.hpp"
#include "remo/masking_scheme.hpp"

namespace talaria::pipeline {

struct EngineOptions {
  std::filesystem::path model_dir;
  remo::SchemeOptions scheme;
  model::WeightFormat weights = model::WeightFormat::int8;
  std::size_t threads = 0; ///< of the stages, and of the worker's products; 0: all cores
  BatchLimits batch;
  remo::MaskPool::Options pool;
  std::filesystem::path trace; ///< empty: no trace
  /// Puts an actor of the caller's in front of the embedded worker (null: none): recorders, and
  /// tests that let a worker lie or die.
  std::function<worker::Worker(caf::actor_system&, worker::Worker)> decorate_worker;
};

/// What a worker has been asked so far.
struct WorkerReport {
  std::string name;
  std::size_t weight_bytes = 0;
  worker::WorkerLedger::Totals totals;
  remo::MaskedTensor last_seen; ///< the last rows it was shown
};

/// A loaded model ready to answer: enclave and embedded worker in one process. Thread-safe.
class Engine {
public:
  /// Loads, quantises, hands the weights to the worker, fetches and verifies the hints.
  /// @throws Error as the rooms below do.
  Engine(const EngineOptions& options, Progress& progress);
  ~Engine(); ///< cancels what runs, ends every actor, wipes the masks

  const model::ModelConfig& config() const;
  const model::Tokenizer& tokenizer() const;
  const model::GenerationConfig& generation_config() const;
  /// Line to print about the scheme in use; empty for lattice.
  const std::string& warning() const;
  std::size_t hint_bytes() const;

  /// @throws Error{usage} for an empty prompt, an id outside the vocabulary, or a prompt longer
  /// than the context. max_tokens is cut to what the context holds. The sink is told everything
  /// else.
  void submit(Request request, std::shared_ptr<RequestSink> sink);
  /// Ends every request; each sink hears FinishReason::cancelled.
  void cancel_all();

  WorkerReport worker_report() const;
  remo::MaskPool::Stats mask_stats() const;
  /// Blocks until the mask pool is full: for measurements of steady state.
  void wait_for_masks();
  /// Writes the trace file, if one was asked for. @throws Error{io}
  void write_trace();

private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Runs one request and waits. @throws the request's error.
Completion run_to_end(Engine& engine, Request request);

} // namespace talaria::pipeline
