#include "model/logit_adjustment.hpp"

#include <algorithm>
#include <limits>

#include "core/constant_time.hpp"
#include "core/error.hpp"

namespace talaria::model {

using constant_time::choose;
using constant_time::equal;

namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();
constexpr u64 kAlways = ~u64{0};

} // namespace

LogitAdjustment::LogitAdjustment(const SamplingParameters& parameters, bool oblivious)
    : parameters_(parameters), oblivious_(oblivious),
      offsets_wanted_(!parameters.logit_bias.empty() || !parameters.allowed.empty() ||
                      !parameters.banned.empty() || parameters.min_tokens > 0),
      penalties_wanted_(parameters.presence_penalty != 0 || parameters.frequency_penalty != 0) {}

/// scores[id] becomes `value` where the mask `where` is ones.
void LogitAdjustment::put(std::span<double> scores, u32 id, u64 where, double value) const {
  const auto put_at = [&](std::size_t i, u64 mask) {
    scores[i] = std::bit_cast<double>(
        choose(mask, std::bit_cast<u64>(value), std::bit_cast<u64>(scores[i])));
  };
  if (!oblivious_) {
    if (id < scores.size()) put_at(id, where);
    return;
  }
  for (std::size_t i = 0; i < scores.size(); ++i) put_at(i, where & equal(u64{i}, u64{id}));
}

/// What does not change while the answer grows, as one addend per token.
void LogitAdjustment::prepare(std::size_t vocab) {
  if (offsets_.size() == vocab) return;
  offsets_ = SecretBuffer<double>(vocab);
  const auto offsets = offsets_.span();
  std::fill(offsets.begin(), offsets.end(), parameters_.allowed.empty() ? 0.0 : kNever);
  for (const u32 id : parameters_.allowed) put(offsets, id, kAlways, 0);
  if (parameters_.logit_bias.empty()) return;
  SecretBuffer<double> bias(vocab);
  for (const auto& [id, value] : parameters_.logit_bias) put(bias.span(), id, kAlways, value);
  for (std::size_t i = 0; i < vocab; ++i) offsets[i] += bias[i];
}

void LogitAdjustment::ban_words(std::span<double> scores, std::span<const u32> answer) const {
  for (const auto& word : parameters_.banned) {
    if (word.empty() || answer.size() + 1 < word.size()) continue;
    const auto end = answer.last(word.size() - 1);
    u64 complete = kAlways;
    for (std::size_t i = 0; i < end.size(); ++i) complete &= equal(u64{end[i]}, u64{word[i]});
    put(scores, word.back(), complete, kNever);
  }
}

void LogitAdjustment::offset(std::span<double> scores, std::span<const u32> answer) {
  if (!offsets_wanted_) return;
  prepare(scores.size());
  for (std::size_t i = 0; i < scores.size(); ++i) scores[i] += offsets_[i];
  ban_words(scores, answer);
  if (answer.size() < parameters_.min_tokens)
    for (const u32 end : parameters_.ends) put(scores, end, kAlways, kNever);
}

void LogitAdjustment::count(u32 token, u32 by) {
  for (std::size_t i = 0; i < counts_.size(); ++i)
    counts_[i] += by & equal(static_cast<u32>(i), token);
}

void LogitAdjustment::count_in_vain() {
  if (penalties_wanted_) count(0, 0);
}

void LogitAdjustment::penalise(std::span<double> scores, std::span<const u32> answer) {
  if (!penalties_wanted_) return;
  if (counts_.size() != scores.size()) {
    counts_ = SecretBuffer<u32>(scores.size());
    std::fill(counts_.span().begin(), counts_.span().end(), 0);
    counted_ = 0;
  }
  for (; counted_ < answer.size(); ++counted_) count(answer[counted_], 1);
  const double frequency = parameters_.frequency_penalty;
  const double presence = parameters_.presence_penalty;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const i32 times = static_cast<i32>(counts_[i]);
    const i32 once = static_cast<i32>(~equal(counts_[i], 0u) & 1);
    scores[i] =
        scores[i] - frequency * static_cast<double>(times) - presence * static_cast<double>(once);
  }
}

} // namespace talaria::model
