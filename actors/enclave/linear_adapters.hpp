#pragma once

#include <memory>
#include <vector>

#include "actors/enclave/attention_team.hpp"
#include "actors/enclave/micro_batch.hpp"
#include "model/adapter/adapter_set.hpp"

namespace talaria::enclave {

/// What the stages of one matrix know of adapters (docs/adr/0028).
struct LinearAdapters {
  std::shared_ptr<const model::AdapterSet> set;
  arch::LinearId linear;
  /// Behind the last layer's attention (or what stands there) only the wanted rows are left.
  bool wanted_only = false;
  std::shared_ptr<AttentionTeam> team;

  /// What is to be added to the product with x [rows, d_in], before it was rounded and masked.
  /// Null: nothing.
  std::unique_ptr<const model::AdapterDelta> delta(const MicroBatch& batch,
                                                   const Matrix<float>& x) const {
    std::vector<model::AdaptedRows> runs;
    for (const Segment& segment : batch.segments)
      runs.push_back({wanted_only ? segment.wanted_rows() : segment.count, segment.adapter.get()});
    return set->delta(linear, x, std::move(runs), team->helpers);
  }
};

} // namespace talaria::enclave
