#include <algorithm>
#include <cmath>

#include "planner/prediction.hpp"

namespace talaria::planner {

namespace {

double busiest(const StepCost& cost) {
  return *std::max_element(cost.busy.begin(), cost.busy.end());
}

/// A round of decoding: every sequence gets a token.
struct Round {
  double seconds = 0; ///< from one token to the next, while nothing else runs
  double busy = 0;    ///< of the busiest resource, for all micro-batches
  u32 micro_batches = 1;
  StepCost step; ///< of one micro-batch
};

Round decode_round(const System& system, const Workload& load, u32 micro_batches,
                   double sequences) {
  Round best;
  best.seconds = INFINITY;
  const double context = load.prompt_tokens + load.answer_tokens / 2.0;
  for (const u32 parts : {1U, 2U, 4U, 8U, 16U}) {
    if (parts > sequences || (micro_batches > 0 && parts > micro_batches)) break;
    const double rows = sequences / parts;
    const StepCost step = system.cost(decode_step(rows, context));
    const double busy = parts * busiest(step);
    // One micro-batch waits for itself; several hide in each other's waiting.
    const double seconds = std::max(busy, step.latency);
    if (seconds < best.seconds) best = {seconds, busy, parts, step};
  }
  return best;
}

/// The prompt of one request, in chunks that several requests have under way at once.
struct Prompt {
  StepCost chunk;
  double chunks = 0, tokens = 0; ///< of one prompt; rows of a chunk
  double busy = 0;               ///< seconds of the busiest resource for the prompt
};

Prompt prompt_cost(const System& system, const Workload& load, u32 chunk) {
  Prompt prompt;
  prompt.tokens = std::min<double>(load.prompt_tokens, chunk);
  prompt.chunks = load.prompt_tokens / prompt.tokens;
  const double context = load.prompt_tokens / 2.0;
  prompt.chunk = system.cost(prompt_step(prompt.tokens, context, context, 1 / prompt.chunks));
  prompt.busy = busiest(prompt.chunk) * prompt.chunks;
  return prompt;
}

/// Sequences that decode together when `rate` requests/s come to one copy; 0: they become too many.
double steady_sequences(const System& system, const Workload& load, const Prompt& prompt,
                        u32 micro_batches, double rate) {
  const double left = system.rates->busy - rate * prompt.busy;
  if (left <= 0) return 0;
  for (double b = 1; b <= system.max_sequences; b = std::max(b + 1, std::floor(b * 1.02))) {
    const Round round = decode_round(system, load, micro_batches, b);
    const double tokens = rate * load.answer_tokens;
    if (tokens * round.seconds / left <= b && tokens * round.busy <= b * left) return b;
  }
  return 0;
}

double capacity_of(const System& system, const Workload& load, const Prompt& prompt,
                   u32 micro_batches) {
  double low = 0, high = system.rates->busy / prompt.busy;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (steady_sequences(system, load, prompt, micro_batches, middle) > 0 ? low : high) = middle;
  }
  return low;
}

/// Share of each resource that `rate` requests/s keep busy.
std::vector<double> busy_shares(const System& system, const Workload& load, const Prompt& prompt,
                                u32 micro_batches, double rate, double sequences) {
  const Round round = decode_round(system, load, micro_batches, std::max(1.0, sequences));
  std::vector<double> shares;
  for (std::size_t i = 0; i < prompt.chunk.busy.size(); ++i)
    shares.push_back(rate * (prompt.chunk.busy[i] * prompt.chunks +
                             load.answer_tokens * round.step.busy[i] * round.micro_batches /
                                 std::max(1.0, sequences)));
  return shares;
}

} // namespace

Prediction predict(const System& system, const Workload& load, const Batching& batching) {
  Prediction out;
  if (!system.impossible.empty()) return out;
  const u32 parts = batching.micro_batches;
  const Prompt prompt = prompt_cost(system, load, batching.chunk);
  const double rate = load.requests_per_second / system.copies;
  out.prompt_tokens_per_s = load.prompt_tokens / prompt.busy * system.copies;
  const double most = capacity_of(system, load, prompt, parts);
  out.capacity = most * system.copies;
  const auto full = busy_shares(system, load, prompt, parts, most,
                                steady_sequences(system, load, prompt, parts, most));
  const auto top = std::max_element(full.begin(), full.end());
  // Where nothing is busy and yet no more goes, requests wait for exchanges, or for memory.
  out.bottleneck = *top > system.rates->busy / 2
                       ? system.resources[static_cast<std::size_t>(top - full.begin())].name
                       : "latency of exchanges, and memory for more requests at once";
  const double sequences = steady_sequences(system, load, prompt, parts, rate);
  out.sustains = sequences > 0;
  out.sequences = out.sustains ? sequences : system.max_sequences;
  const Round round = decode_round(system, load, parts, out.sequences);
  out.micro_batches = round.micro_batches;
  out.busy = busy_shares(system, load, prompt, parts, rate, out.sequences);
  // Prompts and answers take turns: each waits for the other's share of the time.
  const double prompts = std::min(0.95, rate * prompt.busy);
  const double answers = std::min(0.95, rate * load.answer_tokens * round.busy / out.sequences);
  out.token_s = round.seconds / (1 - prompts);
  out.first_token_s = (prompt.busy - busiest(prompt.chunk) + prompt.chunk.latency) / (1 - answers);
  return out;
}

} // namespace talaria::planner
