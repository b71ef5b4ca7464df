#include "pipeline/speculation.hpp"

#include <algorithm>

namespace talaria::pipeline {

namespace {

constexpr std::size_t kLongestMatch = 8; // tokens
constexpr u32 kWorthOneIn = 3;           // rounds whose first guess is right

/// How many of the last tokens of `context` stand at the end of its first `end` tokens as well.
std::size_t common_end(std::span<const u32> context, std::size_t end) {
  std::size_t common = 0;
  u32 alike = 1;
  for (std::size_t i = 0; i < std::min(end, kLongestMatch); ++i) {
    alike &= static_cast<u32>(context[end - 1 - i] == context[context.size() - 1 - i]);
    common += alike;
  }
  return common;
}

} // namespace

void draft_from_context(std::span<const u32> context, std::span<u32> drafts) {
  const std::size_t size = context.size();
  std::size_t begin = size == 0 ? 0 : size - 1; // of what is repeated
  std::size_t longest = 0;
  for (std::size_t end = 1; end < size; ++end) {
    const std::size_t common = common_end(context, end);
    const bool better = common != 0 && common >= longest;
    begin = better ? end : begin;
    longest = better ? common : longest;
  }
  for (std::size_t i = 0; i < drafts.size(); ++i) {
    const std::size_t from = begin + i;
    drafts[i] = from < size ? context[from] : size == 0 ? 0 : drafts[from - size];
  }
}

void DraftJudge::round(bool foreseen) noexcept {
  ++since_;
  foreseen_ += foreseen ? 1 : 0;
  unseen_round();
}

void DraftJudge::unseen_round() noexcept {
  if (++rounds_ == decide_at_) decide();
}

/// Of what nobody has looked at nothing is known, and it stays as it is.
void DraftJudge::decide() noexcept {
  if (since_ != 0) worth_it_ = foreseen_ * kWorthOneIn >= since_;
  decide_at_ *= 2;
  since_ = 0;
  foreseen_ = 0;
}

const char* to_string(DraftKind kind) noexcept {
  return kind == DraftKind::model ? "model" : "ngram";
}

DraftCounts DraftLedger::counts(DraftKind kind) const noexcept {
  const Tally& tally = tallies_[static_cast<std::size_t>(kind)];
  DraftCounts counts;
  counts.rounds = tally.rounds;
  counts.drafted = tally.drafted;
  for (std::size_t i = 0; i < kMostDrafts; ++i) {
    counts.by_position[i] = tally.by_position[i];
    counts.accepted += counts.by_position[i];
  }
  return counts;
}

DraftCounts DraftLedger::counts() const noexcept {
  DraftCounts all;
  for (const DraftKind kind : kDraftKinds) {
    const DraftCounts part = counts(kind);
    all.rounds += part.rounds;
    all.drafted += part.drafted;
    all.accepted += part.accepted;
    for (std::size_t i = 0; i < kMostDrafts; ++i) all.by_position[i] += part.by_position[i];
  }
  return all;
}

} // namespace talaria::pipeline
