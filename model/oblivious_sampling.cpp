#include "model/oblivious_sampling.hpp"

#include <cmath>

#include "core/constant_time.hpp"
#include "core/declassify.hpp"
#include "core/error.hpp"
#include "core/secret.hpp"
#include "model/logit_adjustment.hpp"
#include "model/sampling_parameters.hpp"
#include "model/scores.hpp"

namespace talaria::model {

namespace {

using constant_time::choose;
using constant_time::equal;
using constant_time::less;

using Scores = SecretBuffer<double>;
using Ranks = SecretBuffer<u64>;
using Weights = SecretBuffer<u64>;
/// Bit id % 32 of word id / 32: the token was seen.
using SeenBits = SecretBuffer<u32>;

/// What float -> double conversion gives, without the pauses that CPUs take for subnormal numbers:
/// an integer times a power of two.
double widen(u32 bits) {
  const u32 exponent = bits >> 23 & 0xff;
  const u32 mantissa = bits & 0x7fffff;
  const u32 subnormal = equal(exponent, 0u);
  const u32 infinite = equal(exponent, 0xffu);
  const u64 power = u64{choose(subnormal, 1u, exponent)} + 1023 - 150;
  const auto whole = static_cast<i32>(mantissa | (~subnormal & 0x800000));
  const u64 magnitude =
      std::bit_cast<u64>(static_cast<double>(whole) * std::bit_cast<double>(power << 52));
  const u64 special = u64{0x7ff} << 52;
  const u64 sign = u64{bits >> 31} << 63;
  return std::bit_cast<double>(sign | choose(u64{infinite} << 32 | infinite, special, magnitude));
}

void require(u32 broken, const char* what) {
  if (declassified(broken) != 0) throw Error(Errc::internal, what);
}

void check_every_logit(std::span<const float> logits) {
  u32 broken = 0;
  u32 finite = 0;
  for (const float logit : logits) {
    const u32 bits = std::bit_cast<u32>(logit);
    const u32 nan = less(0x7f800000u, bits & 0x7fffffff);
    broken |= nan | equal(bits, 0x7f800000u);
    finite |= ~equal(bits & 0x7f800000u, 0x7f800000u);
  }
  require(broken, "the logits hold NaN or infinity");
  require(~finite, "there is no finite logit to choose from");
}

/// One pass over the words for every token. A difference of word numbers is far below 2^31.
SeenBits mark(std::span<const u32> seen, std::size_t vocab) {
  SeenBits words((vocab + 31) / 32);
  u32 outside = 0;
  for (const u32 id : seen) {
    outside |= ~less(id, static_cast<u32>(vocab));
    const u32 word = id >> 5;
    const u32 bit = u32{1} << (id & 31);
    for (u32 w = 0; w < words.size(); ++w)
      words[w] |= bit & static_cast<u32>(static_cast<i32>((w ^ word) - 1) >> 31);
  }
  require(outside, "a seen token id lies outside the logits");
  return words;
}

/// The repetition penalty.
void penalise_all(Scores& values, std::span<const u32> seen, double penalty) {
  const SeenBits bits = mark(seen, values.size());
  const u64 zero = scores::rank_of(0);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const u64 rank = scores::rank_of(values[i]);
    const u64 larger = scores::rank_of(values[i] / penalty);
    const u64 smaller = scores::rank_of(values[i] * penalty);
    const u64 punished = choose(less(zero, rank), larger, smaller);
    const u64 was_seen = u64{0} - (bits[i / 32] >> (i % 32) & 1);
    values[i] = scores::score_of(choose(was_seen, punished, rank));
  }
}

/// Ranks of the scores behind all that changes them.
Ranks rank_all(std::span<const float> logits, std::span<const u32> seen,
               std::span<const u32> answer, double penalty, LogitAdjustment& adjustment) {
  Scores values(logits.size(), Unwritten{});
  for (std::size_t i = 0; i < logits.size(); ++i) values[i] = widen(std::bit_cast<u32>(logits[i]));
  adjustment.offset(values.span(), answer);
  if (penalty != 1) penalise_all(values, seen, penalty);
  adjustment.penalise(values.span(), answer);
  Ranks ranks(logits.size(), Unwritten{});
  for (std::size_t i = 0; i < logits.size(); ++i) ranks[i] = scores::rank_of(values[i]);
  return ranks;
}

u64 greatest(const Ranks& ranks) {
  u64 best = 0;
  for (const u64 rank : ranks.span()) best = choose(less(best, rank), rank, best);
  return best;
}

u32 first_greatest(const Ranks& ranks, u64 best) {
  u64 first = ~u64{0};
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    const u64 at = u64{i} | ~equal(ranks[i], best);
    first = choose(less(at, first), at, first);
  }
  return static_cast<u32>(first);
}

u64 count_from(const Ranks& ranks, u64 threshold) {
  u64 count = 0;
  for (const u64 rank : ranks.span()) count += ~less(rank, threshold) & 1;
  return count;
}

/// Ones where a rank is among the k best, equal ones by id. Ranks that differ do so above bit
/// `lowest`.
SecretBuffer<u64> keep_best(const Ranks& ranks, std::size_t k, int lowest) {
  u64 threshold = 0; // the greatest that k ranks reach
  for (int bit = 63; bit >= lowest; --bit) {
    const u64 higher = threshold | u64{1} << bit;
    threshold = choose(less(count_from(ranks, higher), u64{k}), threshold, higher);
  }
  const u64 ties_end = threshold | ((u64{1} << lowest) - 1);
  u64 above = 0;
  for (const u64 rank : ranks.span()) above += less(ties_end, rank) & 1;
  SecretBuffer<u64> kept(ranks.size(), Unwritten{});
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    const u64 better = less(ties_end, ranks[i]);
    const u64 tie = ~better & ~less(ranks[i], threshold) & less(above, u64{k});
    above += tie & 1;
    kept[i] = better | tie;
  }
  return kept;
}

u64 sum(const Weights& weights) {
  u64 total = 0;
  for (const u64 weight : weights.span()) total += weight;
  return total;
}

/// Of the weights that reach `threshold`; both below 2^63.
u64 sum_from(const Weights& weights, u64 threshold) {
  u64 total = 0;
  for (const u64 weight : weights.span()) total += weight & (((weight - threshold) >> 63) - 1);
  return total;
}

/// Zero for all but the smallest set of the largest weights, equal ones by id, that comes to
/// `enough`.
void keep_nucleus(Weights& weights, u64 unit, u64 enough) {
  u64 threshold = 0; // the greatest such that the weights from it on come to enough
  for (u64 bit = unit; bit > 0; bit >>= 1) {
    const u64 higher = threshold | bit;
    threshold = choose(less(sum_from(weights, higher), enough), threshold, higher);
  }
  u64 before = sum_from(weights, threshold + 1);
  for (u64& weight : weights.span()) {
    const u64 tie = equal(weight, threshold) & less(before, enough);
    before += tie & weight;
    weight &= less(threshold, weight) | tie;
  }
}

/// Inverse transform in the order of the ids: how many sums are not beyond the target.
u32 draw(const Weights& weights, Rng& rng) {
  u64 random = 0;
  rng.fill({reinterpret_cast<u8*>(&random), sizeof random});
  const u64 target = scores::target_of(random, sum(weights));
  u64 so_far = 0;
  u32 before = 0;
  for (const u64 weight : weights.span()) {
    so_far += weight;
    before += static_cast<u32>(~less(target, so_far) & 1);
  }
  return before;
}

} // namespace

u32 sample_obliviously(std::span<const float> logits, std::span<const u32> seen,
                       std::span<const u32> answer, const SamplingParameters& parameters,
                       LogitAdjustment& adjustment, Rng& rng) {
  check_every_logit(logits);
  const double penalty = parameters.repetition_penalty;
  const Ranks ranks = rank_all(logits, seen, answer, penalty, adjustment);
  const u64 highest = greatest(ranks);
  require(static_cast<u32>(equal(highest, scores::rank_of(-INFINITY))), kNothingLeft);
  if (parameters.temperature == 0 || parameters.top_k == 1) return first_greatest(ranks, highest);

  const double best = scores::score_of(highest);
  const u64 unit = scores::unit_weight(ranks.size());
  Weights weights(ranks.size(), Unwritten{});
  for (std::size_t i = 0; i < ranks.size(); ++i)
    weights[i] =
        scores::weight(scores::score_of(ranks[i]), best, double{parameters.temperature}, unit);
  if (const std::size_t k = parameters.top_k; k > 0 && k < ranks.size()) {
    // Floats as doubles end in 29 equal bits.
    const bool only_floats = penalty == 1 && !adjustment.is_needed();
    const SecretBuffer<u64> kept = keep_best(ranks, k, only_floats ? 29 : 0);
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] &= kept[i];
  }
  if (const double p = parameters.min_p; p > 0) {
    const u64 least = scores::least_weight(unit, p);
    for (u64& weight : weights.span()) weight &= ~less(weight, least);
  }
  if (const double p = parameters.top_p; p < 1)
    keep_nucleus(weights, unit, scores::part_of(sum(weights), p));
  return draw(weights, rng);
}

} // namespace talaria::model
