#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <span>

#include "core/integers.hpp"

// Several tokens a round: the next tokens of a sequence are guessed, rows for the guesses go
// through the layers beside the row of its last token, and the sampler keeps those that it would
// have drawn itself (docs/adr/0023-drafts-are-rows.md).

namespace talaria::pipeline {

/// The most tokens that may be guessed in one round.
inline constexpr u32 kMostDrafts = 16;

/// Guesses what follows `context`: what stood behind the latest of the places that end as it does,
/// in as many of the last eight tokens as any place. Beyond the end of the context that goes on
/// with the guesses themselves. Where not even the last token has stood before, it is guessed again
/// and again. All of `drafts` are filled. One pass over the context, whatever stands in it. Source:
/// prompt lookup decoding; Leviathan et al., arXiv 2211.17192, for what is done with drafts.
/// @param context  the tokens so far; none: the guesses are 0
void draft_from_context(std::span<const u32> context, std::span<u32> drafts);

/// Whether drafts are worth their rows to one answer: not at first, and then by what the rounds
/// since the last decision have shown, with drafts or without. Workers see what comes of it, so
/// that it changes rarely: it is decided behind the 8th round of an answer, the 16th, the 32nd and
/// so on. One bit for each doubling of the answer is all that anyone can read of it.
class DraftJudge {
public:
  /// A round has passed. @param foreseen  its first guess was right; also if it was not sent
  void round(bool foreseen) noexcept;
  bool worth_it() const noexcept { return worth_it_; }

private:
  bool worth_it_ = false;
  u32 rounds_ = 0;
  u32 decide_at_ = 8;
  u32 since_ = 0;    ///< rounds since the decision before
  u32 foreseen_ = 0; ///< of these
};

/// What drafts did so far. Those of dummy rounds are not counted.
struct DraftCounts {
  u64 rounds = 0;                             ///< that had drafts
  u64 drafted = 0;                            ///< tokens that were guessed
  u64 accepted = 0;                           ///< of these, tokens of answers
  std::array<u64, kMostDrafts> by_position{}; ///< accepted, by their place in the round
};

/// Counts it; written by the scheduler, read by anyone.
class DraftLedger {
public:
  void sent(u32 drafts) noexcept {
    ++rounds_;
    drafted_ += drafts;
  }
  /// @param position  of the draft in its round, from 0
  void accepted(std::size_t position) noexcept { ++by_position_.at(position); }
  DraftCounts counts() const noexcept;

private:
  std::atomic<u64> rounds_{0};
  std::atomic<u64> drafted_{0};
  std::array<std::atomic<u64>, kMostDrafts> by_position_{};
};

} // namespace talaria::pipeline
