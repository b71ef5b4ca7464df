#include "audit/traffic.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <utility>

#include <fmt/format.h>

#include "actors/worker_interface.hpp"
#include "arch/model_plan.hpp"
#include "audit/statistics.hpp"
#include "core/random.hpp"
#include "core/wall_clock.hpp"
#include "pipeline/worker_decorator.hpp"

namespace talaria::audit {
namespace {

/// When tensors arrive and how many rows they have. Thread-safe.
class Counter {
public:
  void take(const remo::MaskedTensor& tensor) {
    const std::lock_guard lock(mutex_);
    arrivals_.push_back({wall_ns(), tensor.matrix, tensor.rows, 0});
  }
  /// What came since the last call.
  std::vector<Arrival> drain() {
    const std::lock_guard lock(mutex_);
    return std::exchange(arrivals_, {});
  }

private:
  std::mutex mutex_;
  std::vector<Arrival> arrivals_;
};

worker::Worker spawn_counter(caf::actor_system& system, worker::Worker worker,
                             std::shared_ptr<Counter> counter) {
  return system.spawn([worker,
                       counter](worker::Worker::pointer self) -> worker::Worker::behavior_type {
    return {[=](const remo::MaskedTensor& tensor) {
              counter->take(tensor);
              return self->delegate(worker, tensor);
            },
            [=](const worker::Dispute& dispute) { return self->delegate(worker, dispute); },
            [=](const remo::HintRequest& request) { return self->delegate(worker, request); },
            [=](const remo::WeightRequest& request) { return self->delegate(worker, request); }};
  });
}

/// The element in the middle; of an even number, the larger one of two.
template <class T>
T median(std::span<const T> values) {
  std::vector<T> sorted(values.begin(), values.end());
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  return *middle;
}

/// Rounds at the beginning that belong to the prompt.
std::size_t prompt_rounds(std::span<const Round> rounds, const TrafficRules& rules) {
  if (rounds.empty()) return 0;
  const auto& buckets = rules.padding.buckets;
  if (buckets.empty()) {
    // Only the last chunk of a prompt and the rounds of the answer get as far as the head.
    const auto heads = static_cast<std::size_t>(
        std::count_if(rounds.begin(), rounds.end(), [](const Round& r) { return r.reached_head; }));
    return rounds.size() - std::max<std::size_t>(heads, 1) + 1;
  }
  // A round of an answer has one row, so whatever is larger is prompt; behind a full chunk only.
  const u32 full = rules.padding.filled(std::min(rules.prefill_chunk, buckets.back()));
  std::size_t count = 1;
  while (count < rounds.size() && rounds[count - 1].rows == full &&
         rounds[count].rows > buckets.front())
    ++count;
  return count;
}

/// Everything one engine's requests gave away, beside the truth.
struct Observed {
  std::vector<LengthRange> prompts, answers;
  std::vector<u32> true_prompts, true_answers;
  // Of each request whose answer has two rounds or more. Rounds of one request are no independent
  // trials: they have the machine's load in common.
  std::vector<i64> between, within; ///< ns, the median of its rounds
  std::vector<u32> contexts;        ///< tokens before its answer
};

void observe(std::span<const Round> rounds, const TrafficRules& rules, u32 prompt, u32 answer,
             Observed& out) {
  out.prompts.push_back(prompt_length(rounds, rules));
  out.answers.push_back(answer_length(rounds, rules));
  out.true_prompts.push_back(prompt);
  out.true_answers.push_back(answer);
  std::vector<i64> between;
  std::vector<i64> within;
  const std::size_t first = prompt_rounds(rounds, rules);
  for (std::size_t i = first; i + 1 < rounds.size() && i < first + answer; ++i) {
    between.push_back(rounds[i + 1].begin_ns - rounds[i].begin_ns);
    within.push_back(rounds[i].end_ns - rounds[i].begin_ns);
  }
  if (between.empty()) return;
  out.between.push_back(median<i64>(between));
  out.within.push_back(median<i64>(within));
  out.contexts.push_back(prompt);
}

u32 head_of(const arch::ModelPlan& plan) {
  return plan.linears.head().id.value;
}

Observed watch(pipeline::EngineOptions options, const pipeline::Padding& padding,
               const TrafficOptions& traffic, Progress& progress) {
  const auto counter = std::make_shared<Counter>();
  options.cluster.reset();
  options.trace.clear();
  options.padding = padding;
  options.decorate_worker =
      pipeline::decorate_worker([counter](caf::actor_system& system, worker::Worker worker) {
        return spawn_counter(system, std::move(worker), counter);
      });
  pipeline::Engine engine(options, progress);
  engine.wait_for_masks();
  counter->drain();
  const TrafficRules rules{padding, options.batch.prefill_chunk};
  ChaChaRng rng = seeded_rng(traffic.seed);
  Observed out;
  for (std::size_t i = 0; i < traffic.requests; ++i) {
    pipeline::Request request;
    request.prompt.resize(1 + rng.below(traffic.longest_prompt));
    for (u32& token : request.prompt) token = static_cast<u32>(rng.below(engine.plan().vocab));
    request.max_tokens = static_cast<u32>(1 + rng.below(traffic.longest_answer));
    request.ignore_eos = true;
    const auto prompt = static_cast<u32>(request.prompt.size());
    const auto completion = run_to_end(engine, std::move(request));
    engine.wait_until_idle();
    observe(rounds_of(counter->drain(), head_of(engine.plan())), rules, prompt,
            static_cast<u32>(completion.tokens.size()), out);
  }
  return out;
}

AttackResult leak(const char* what, const char* padded, std::size_t right, std::size_t trials,
                  double chance) {
  AttackResult out;
  out.where = fmt::format("{}, {}", what, padded);
  out.measure = AttackResult::Measure::leak;
  out.judges = false;
  out.rows = trials;
  out.applicable = trials != 0;
  out.top1 = out.top10 = right;
  out.chance1 = out.chance10 = chance;
  out.p_value = binomial_upper_tail(right, trials, chance);
  return out;
}

AttackResult score_lengths(const char* what, const char* padded,
                           const std::vector<LengthRange>& ranges, const std::vector<u32>& truth,
                           u32 longest) {
  std::size_t right = 0;
  std::size_t inside = 0;
  double width = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    right += ranges[i].guess() == truth[i] ? 1 : 0;
    inside += ranges[i].low <= truth[i] && truth[i] <= ranges[i].high ? 1 : 0;
    width += ranges[i].width();
  }
  AttackResult out = leak(what, padded, right, truth.size(), 1.0 / longest);
  if (!truth.empty())
    out.remark = fmt::format("{} of {} within a range of {:.0f} tokens on average", inside,
                             truth.size(), width / static_cast<double>(truth.size()));
  return out;
}

AttackResult score_times(const char* what, const char* padded, const std::vector<i64>& times,
                         const std::vector<u32>& contexts) {
  AttackResult out = leak(what, padded, halves_told_apart(times, contexts), times.size(), 0.5);
  out.remark = "requests told apart by whether their context is short or long";
  return out;
}

} // namespace

std::vector<Round> rounds_of(std::span<const Arrival> arrivals, u32 last_matrix) {
  std::vector<Round> out;
  std::vector<i64> heads;
  for (const Arrival& arrival : arrivals) {
    if (arrival.matrix == 0) out.push_back({arrival.time_ns, arrival.time_ns, arrival.rows, false});
    if (arrival.matrix == last_matrix) heads.push_back(arrival.time_ns);
  }
  // Chunks of a prompt that stop before the head come first.
  const std::size_t reached = std::min(heads.size(), out.size());
  for (std::size_t i = 0; i < reached; ++i) {
    Round& round = out[out.size() - reached + i];
    round.end_ns = heads[heads.size() - reached + i];
    round.reached_head = true;
  }
  return out;
}

LengthRange prompt_length(std::span<const Round> rounds, const TrafficRules& rules) {
  const std::size_t count = prompt_rounds(rounds, rules);
  if (count == 0) return {};
  const auto& buckets = rules.padding.buckets;
  u32 before = 0;
  if (buckets.empty()) {
    for (std::size_t i = 0; i < count; ++i) before += rounds[i].rows;
    return {before, before};
  }
  const u32 chunk = std::min(rules.prefill_chunk, buckets.back());
  before = static_cast<u32>(count - 1) * chunk;
  const u32 rows = rounds[count - 1].rows;
  const auto bucket = std::lower_bound(buckets.begin(), buckets.end(), rows);
  const u32 smaller = bucket == buckets.begin() ? 0 : *(bucket - 1);
  return {before + smaller + 1, before + std::min(rows, chunk)};
}

LengthRange answer_length(std::span<const Round> rounds, const TrafficRules& rules) {
  if (rounds.empty()) return {};
  const auto most = static_cast<u32>(rounds.size() - prompt_rounds(rounds, rules) + 1);
  return {most - std::min(most, rules.padding.rounds) + 1, most};
}

std::size_t halves_told_apart(std::span<const i64> times, std::span<const u32> sizes) {
  if (times.empty()) return 0;
  const i64 middle_time = median<i64>(times);
  const u32 middle_size = median<u32>(sizes);
  std::size_t right = 0;
  for (std::size_t i = 0; i < times.size(); ++i)
    right += (times[i] >= middle_time) == (sizes[i] >= middle_size) ? 1 : 0;
  return right;
}

AttackInfo traffic_info() {
  return {"traffic", "Traffic shape", "docs/protocol.md, What is not promised",
          "Rows per tensor, the number of rounds and the times between and within them are read as "
          "lengths of prompt, answer and context. Padding leaves ranges of the lengths; times "
          "within a round stay visible."};
}

pipeline::Padding example_padding() {
  return {{16, 128}, 8, std::chrono::milliseconds(10)};
}

std::vector<AttackResult> traffic_shape(const pipeline::EngineOptions& engine,
                                        const pipeline::Padding& padding,
                                        const TrafficOptions& options, Progress& progress) {
  std::vector<AttackResult> out;
  for (const bool padded : {false, true}) {
    const char* name = padded ? "padded" : "not padded";
    const Observed seen = watch(engine, padded ? padding : pipeline::Padding{}, options, progress);
    out.push_back(score_lengths("prompt length", name, seen.prompts, seen.true_prompts,
                                options.longest_prompt));
    out.push_back(score_lengths("answer length", name, seen.answers, seen.true_answers,
                                options.longest_answer));
    out.push_back(score_times("time between rounds", name, seen.between, seen.contexts));
    out.push_back(score_times("time within rounds", name, seen.within, seen.contexts));
  }
  for (AttackResult& result : out) {
    result.attack = traffic_info().name;
    result.scheme = remo::to_string(engine.scheme.kind);
  }
  return out;
}

} // namespace talaria::audit
