#include "model/sampler.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "core/error.hpp"
#include "model/oblivious_sampling.hpp"
#include "model/scores.hpp"

namespace talaria::model {

namespace {

struct Candidate {
  u32 id;
  u64 rank; ///< of its score, later its weight: the larger the better
};

/// Before all others: the larger rank, and among equals the lower id.
bool ranks_before(const Candidate& a, const Candidate& b) {
  return a.rank > b.rank || (a.rank == b.rank && a.id < b.id);
}

void penalise(std::span<double> scores, std::span<const u32> seen, float penalty) {
  if (penalty == 1) return;
  std::vector<bool> done(scores.size());
  for (const u32 id : seen) {
    if (id >= scores.size()) throw Error(Errc::internal, "a seen token id lies outside the logits");
    if (done[id]) continue;
    done[id] = true;
    scores[id] = scores[id] > 0 ? scores[id] / penalty : scores[id] * penalty;
  }
}

void check_logits(std::span<const float> logits) {
  const auto broken = [](float x) { return std::isnan(x) || x == INFINITY; };
  if (std::any_of(logits.begin(), logits.end(), broken))
    throw Error(Errc::internal, "the logits hold NaN or infinity");
  if (std::none_of(logits.begin(), logits.end(), [](float x) { return std::isfinite(x); }))
    throw Error(Errc::internal, "there is no finite logit to choose from");
}

/// The first of the largest logits, if all are finite; nothing otherwise. Lanes that do not wait
/// for each other let the compiler use vectors: one by one this takes as long as attention does.
/// Always the whole vocabulary: how long it takes must not depend on the token.
std::optional<u32> greatest(std::span<const float> logits) {
  constexpr std::size_t kLanes = 16;
  std::array<float, kLanes> best;
  std::array<u32, kLanes> at{};
  std::array<float, kLanes> poison{}; // NaN after a NaN or an infinity
  best.fill(-INFINITY);
  const auto look = [&](std::size_t i, std::size_t l) {
    const float x = logits[i];
    const bool greater = x > best[l];
    best[l] = greater ? x : best[l];
    at[l] = greater ? static_cast<u32>(i) : at[l];
    poison[l] += x * 0;
  };
  std::size_t i = 0;
  for (; i + kLanes <= logits.size(); i += kLanes)
    for (std::size_t l = 0; l < kLanes; ++l) look(i + l, l);
  for (; i < logits.size(); ++i) look(i, i % kLanes);
  if (logits.empty() || std::any_of(poison.begin(), poison.end(), [](float x) { return x != 0; }))
    return std::nullopt;
  std::size_t first = 0;
  for (std::size_t l = 1; l < kLanes; ++l)
    if (best[l] > best[first] || (best[l] == best[first] && at[l] < at[first])) first = l;
  return at[first];
}

/// Ranks of scores become weights.
void soften(std::vector<Candidate>& candidates, double temperature, u64 unit) {
  u64 best = 0;
  for (const Candidate& c : candidates) best = std::max(best, c.rank);
  const double best_score = scores::score_of(best);
  for (Candidate& c : candidates)
    c.rank = scores::weight(scores::score_of(c.rank), best_score, temperature, unit);
}

u64 total(std::span<const Candidate> candidates) {
  u64 sum = 0;
  for (const Candidate& c : candidates) sum += c.rank;
  return sum;
}

/// Moves candidates to the back in rank order, best last, while `more(how many, their weight)`;
/// keeps only those. A heap, because nearly always a few of very many are wanted.
template <class More>
void keep_best(std::vector<Candidate>& candidates, More more) {
  const auto worse = [](const Candidate& a, const Candidate& b) { return ranks_before(b, a); };
  std::make_heap(candidates.begin(), candidates.end(), worse);
  auto end = candidates.end();
  u64 weight = 0;
  std::size_t count = 0;
  while (end != candidates.begin() && (count == 0 || more(count, weight))) {
    std::pop_heap(candidates.begin(), end, worse);
    --end;
    weight += end->rank;
    ++count;
  }
  candidates.erase(candidates.begin(), end);
}

/// Inverse transform over the candidates in the order of their ids, so that a filter that removes
/// nothing changes nothing.
u32 draw(std::vector<Candidate>& candidates, Rng& rng) {
  u64 bits = 0;
  rng.fill({reinterpret_cast<u8*>(&bits), sizeof bits});
  const auto by_id = [](const Candidate& a, const Candidate& b) { return a.id < b.id; };
  if (!std::is_sorted(candidates.begin(), candidates.end(), by_id))
    std::sort(candidates.begin(), candidates.end(), by_id);
  const u64 target = scores::target_of(bits, total(candidates));
  u64 sum = 0;
  u32 last = 0;
  for (const Candidate& c : candidates) {
    sum += c.rank;
    last = c.id;
    if (target < sum) break;
  }
  return last;
}

constexpr const char* kPenaltyRange = "a number from -2 to 2";

void require(bool holds, const char* field, float value, const char* range) {
  if (!holds) throw Error(Errc::usage, fmt::format("{} {}; expected {}", field, value, range));
}

} // namespace

void SamplingParameters::validate() const {
  require(temperature >= 0 && temperature <= 100, "temperature", temperature,
          "a number from 0 to 100");
  require(top_p > 0 && top_p <= 1, "top_p", top_p, "a number above 0, at most 1");
  require(repetition_penalty > 0 && repetition_penalty <= 100, "repetition_penalty",
          repetition_penalty, "a number above 0, at most 100");
  require(min_p >= 0 && min_p <= 1, "min_p", min_p, "a number from 0 to 1");
  const auto is_penalty = [](float x) { return x >= -2 && x <= 2; };
  require(is_penalty(presence_penalty), "presence_penalty", presence_penalty, kPenaltyRange);
  require(is_penalty(frequency_penalty), "frequency_penalty", frequency_penalty, kPenaltyRange);
  for (const auto& [id, bias] : logit_bias)
    require(bias >= -100 && bias <= 100, "logit_bias", bias, "numbers from -100 to 100");
}

Sampler::Sampler(const SamplingParameters& parameters, bool oblivious)
    : parameters_(parameters), oblivious_(oblivious), adjustment_(parameters, oblivious),
      rng_(seeded_rng(parameters.seed)) {
  parameters_.validate();
}

u32 Sampler::sample(std::span<const float> logits, std::span<const u32> seen,
                    std::size_t answered) {
  return pick(logits, seen, answered, rng_);
}

void Sampler::sample_in_vain(std::span<const float> logits, std::span<const u32> seen,
                             std::size_t answered) {
  auto rng = seeded_rng(parameters_.seed);
  (void)pick(logits, seen, answered, rng);
  adjustment_.count_in_vain();
}

u32 Sampler::pick(std::span<const float> logits, std::span<const u32> seen, std::size_t answered,
                  Rng& rng) {
  const auto answer = seen.last(std::min(answered, seen.size()));
  if (oblivious_) return sample_obliviously(logits, seen, answer, parameters_, adjustment_, rng);
  const bool greedy = parameters_.temperature == 0 || parameters_.top_k == 1;
  if (greedy && parameters_.repetition_penalty == 1 && !adjustment_.is_needed())
    if (const auto id = greatest(logits)) return *id;
  check_logits(logits);
  std::vector<double> values(logits.begin(), logits.end());
  adjustment_.offset(values, answer);
  penalise(values, seen, parameters_.repetition_penalty);
  adjustment_.penalise(values, answer);
  const auto best = std::max_element(values.begin(), values.end());
  if (!std::isfinite(*best)) throw Error(Errc::internal, kNothingLeft);
  if (greedy) return static_cast<u32>(best - values.begin());

  std::vector<Candidate> candidates;
  candidates.reserve(values.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    candidates.push_back({static_cast<u32>(i), scores::rank_of(values[i])});
  if (const std::size_t k = parameters_.top_k; k > 0 && k < candidates.size())
    keep_best(candidates, [k](std::size_t count, u64) { return count < k; });
  const u64 unit = scores::unit_weight(logits.size());
  soften(candidates, parameters_.temperature, unit);
  if (const double p = parameters_.min_p; p > 0) {
    const u64 least = scores::least_weight(unit, p);
    std::erase_if(candidates, [least](const Candidate& c) { return c.rank < least; });
  }
  if (const double p = parameters_.top_p; p < 1) {
    const u64 enough = scores::part_of(total(candidates), p);
    keep_best(candidates, [enough](std::size_t, u64 weight) { return weight < enough; });
  }
  return draw(candidates, rng);
}

} // namespace talaria::model
