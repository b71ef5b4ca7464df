#pragma once

#include <deque>
#include <vector>

#include "planner/load_trace.hpp"
#include "planner/prediction.hpp"

namespace talaria::planner {

/// A request on its way through a simulated gateway.
struct SimulatedRequest {
  Arrival asked;
  u32 prompt_sent = 0; ///< tokens of the prompt that have entered the layers
  u32 answered = 0;    ///< tokens that have come
  double last = 0;     ///< when the last of them did
};

/// Rows of several requests under way together.
struct SimulatedBatch {
  std::vector<u32> sampled; ///< requests that get a token of it, by number
  Step step;
};

/// Forms micro-batches as the gateway's scheduler does (pipeline/batch_planner.hpp): rows that
/// decode first, shared among the micro-batches in flight; then chunks of prompts in turn. A
/// request begins when there is memory for all of its keys and values; the scheduler begins earlier
/// and takes memory back, which makes no difference unless memory is what bounds it.
class SimulatedGateway {
public:
  SimulatedGateway(const Batching& batching, double kv_room, double kv_bytes)
      : batching_(batching), kv_left_(kv_room), kv_bytes_(kv_bytes) {}

  void add(u32 number) { waiting_.push_back(number); }
  /// False if there is nothing to send, or enough under way.
  bool next(std::vector<SimulatedRequest>& requests, SimulatedBatch& out);
  /// The batch is through. Its requests go on until they have been given all their tokens.
  void retire(const std::vector<SimulatedRequest>& requests, const SimulatedBatch& batch);
  /// Bytes that a request needs and can never have.
  bool is_too_large(const Arrival& request) const {
    return bytes_of(request) > kv_left_ + kv_used_;
  }

private:
  void admit(const std::vector<SimulatedRequest>& requests);
  void take_answers(const std::vector<SimulatedRequest>& requests, SimulatedBatch& out);
  void take_prompts(std::vector<SimulatedRequest>& requests, SimulatedBatch& out);
  double bytes_of(const Arrival& request) const {
    return kv_bytes_ * (request.prompt_tokens + request.answer_tokens);
  }

  Batching batching_;
  double kv_left_, kv_used_ = 0, kv_bytes_;
  std::deque<u32> waiting_, prompts_, answers_;
  u32 running_ = 0, in_flight_ = 0;
};

} // namespace talaria::planner
