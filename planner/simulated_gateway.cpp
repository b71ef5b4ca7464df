#include "planner/simulated_gateway.hpp"

#include <algorithm>

namespace talaria::planner {

void SimulatedGateway::admit(const std::vector<SimulatedRequest>& requests) {
  while (!waiting_.empty() && running_ < batching_.max_rows) {
    const double bytes = bytes_of(requests[waiting_.front()].asked);
    if (bytes > kv_left_) return;
    kv_left_ -= bytes;
    kv_used_ += bytes;
    prompts_.push_back(waiting_.front());
    waiting_.pop_front();
    ++running_;
  }
}

void SimulatedGateway::take_answers(const std::vector<SimulatedRequest>& requests,
                                    SimulatedBatch& out) {
  const u32 fair = (running_ + batching_.micro_batches - 1) / batching_.micro_batches;
  for (u32 rows = 0; rows < std::min(fair, batching_.max_rows) && !answers_.empty(); ++rows) {
    const SimulatedRequest& request = requests[answers_.front()];
    out.sampled.push_back(answers_.front());
    answers_.pop_front();
    out.step.answer_rows += 1;
    out.step.head_rows += 1;
    out.step.answer_positions += request.asked.prompt_tokens + request.answered;
  }
}

void SimulatedGateway::take_prompts(std::vector<SimulatedRequest>& requests, SimulatedBatch& out) {
  for (std::size_t turns = prompts_.size(); turns > 0; --turns) {
    const auto room = batching_.max_rows - static_cast<u32>(out.step.rows());
    if (room == 0) return;
    const u32 number = prompts_.front();
    prompts_.pop_front();
    SimulatedRequest& request = requests[number];
    const u32 left = request.asked.prompt_tokens - request.prompt_sent;
    const u32 rows = std::min({left, batching_.chunk, room});
    const bool is_last = rows == left;
    const double before = request.prompt_sent;
    out.step.prompt_rows += rows;
    out.step.prompt_pairs += rows * (before + (rows + 1) / 2.0);
    out.step.prompt_positions += before + rows;
    out.step.head_rows += is_last ? 1 : 0;
    request.prompt_sent += rows;
    if (is_last)
      out.sampled.push_back(number);
    else
      prompts_.push_back(number);
  }
}

bool SimulatedGateway::next(std::vector<SimulatedRequest>& requests, SimulatedBatch& out) {
  if (in_flight_ >= batching_.micro_batches) return false;
  admit(requests);
  out.sampled.clear();
  out.step = {};
  take_answers(requests, out);
  take_prompts(requests, out);
  if (out.step.rows() == 0) return false;
  ++in_flight_;
  return true;
}

void SimulatedGateway::retire(const std::vector<SimulatedRequest>& requests,
                              const SimulatedBatch& batch) {
  --in_flight_;
  for (const u32 number : batch.sampled) {
    const SimulatedRequest& request = requests[number];
    if (request.answered < request.asked.answer_tokens) {
      answers_.push_back(number);
      continue;
    }
    const double bytes = bytes_of(request.asked);
    kv_left_ += bytes;
    kv_used_ -= bytes;
    --running_;
  }
}

} // namespace talaria::planner
