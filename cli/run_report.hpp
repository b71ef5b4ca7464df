#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "pipeline/engine.hpp"

namespace talaria::cli {

/// What a run has to say at its end.
struct RunReport {
  const pipeline::EngineOptions& options;
  const std::vector<std::vector<u32>>& prompts;
  const std::vector<pipeline::Completion>& completions;
  std::vector<pipeline::WorkerReport> workers;
  remo::MaskedTensor last_seen; ///< by a worker
  remo::MaskPool::Stats masks;
  pipeline::PaddingCost padding;
  pipeline::DraftCounts drafts;
  pipeline::DraftCounts drafts_of_model; ///< of these
};

/// One prompt: the object that `run --json` prints. Several: {"results": [one each], ...} with what
/// they share beside them.
nlohmann::json to_json(const RunReport& report);

/// The account on standard error: speed, bytes each way, and a sample of what the worker saw.
void print_account(const RunReport& report);

/// One answer of a batch on standard output, under its number.
void print_batch_answer(std::size_t number, const pipeline::Completion& completion);

/// 0, or the status of the first request that failed or was cancelled (its error is printed).
int exit_status_of(const std::vector<pipeline::Completion>& completions);

} // namespace talaria::cli
