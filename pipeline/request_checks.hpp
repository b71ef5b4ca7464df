#pragma once

#include <optional>
#include <vector>

#include "arch/model_plan.hpp"
#include "model/adapter/adapter_set.hpp"
#include "model/weights/pooling.hpp"
#include "pipeline/request.hpp"

namespace talaria::pipeline {

/// What an engine can be asked for.
struct RequestLimits {
  const arch::ModelPlan& plan;
  const std::optional<model::Pooling>& pooling; ///< nothing: it generates
  const model::AdapterSet& adapters;
  const std::vector<u32>& eos; ///< tokens that end an answer
  u32 longest_prompt = 0;      ///< tokens
  u32 kv_tokens = 0;           ///< that a sequence may have if it is alone
  std::size_t kv_bytes = 0;    ///< for keys and values of all of them
  u32 drafts = 0;              ///< the most in a round
  bool oblivious = false;
};

/// Checks a request and fills in what it leaves open: max_tokens is cut to what the context and the
/// memory for keys and values hold, tokens that may not come before min_tokens are named, the
/// adapter and the drafts of a round are settled.
/// @throws Error{usage} as Engine::submit() does
void settle(Request& request, const RequestLimits& limits);

/// @throws Error{usage} for a length that embeddings of `hidden` values are not cut to; 0: all
void check_length(u32 dimensions, const model::Pooling& pooling, u32 hidden);

} // namespace talaria::pipeline
