#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/integers.hpp"

// Several tokens a round: the next tokens of a sequence are guessed, rows for the guesses go
// through the layers beside the row of its last token, and the sampler keeps those that it would
// have drawn itself (docs/adr/0023-drafts-are-rows.md).

namespace talaria::pipeline {

class ModelLoader;

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
  /// A round has passed for which nothing was guessed.
  void unseen_round() noexcept;
  bool worth_it() const noexcept { return worth_it_; }
  /// Whether a guess that is not sent should be made for the round that begins, where guesses cost
  /// something: for the last eight before a decision.
  bool looks() const noexcept { return decide_at_ - rounds_ <= 8; }

private:
  void decide() noexcept;

  bool worth_it_ = false;
  u32 rounds_ = 0;
  u32 decide_at_ = 8;
  u32 since_ = 0;    ///< rounds since the decision before for which something was guessed
  u32 foreseen_ = 0; ///< of these
};

/// Where drafts come from.
enum class DraftKind : u8 {
  ngram, ///< the context (draft_from_context)
  model, ///< a small model (pipeline/drafter.hpp)
};
inline constexpr std::array kDraftKinds{DraftKind::ngram, DraftKind::model};
/// "ngram" or "model".
const char* to_string(DraftKind kind) noexcept;

/// The model that guesses, if one does (`pipeline.speculate: model:DIR:N`).
struct DraftModelOptions {
  std::filesystem::path folder;              ///< or GGUF file; empty: none
  std::shared_ptr<const ModelLoader> opened; ///< one that is open already, in the place of `folder`
  std::size_t kv_bytes = 0; ///< for its keys and values; 0: for as many positions as the target's

  bool is_set() const noexcept { return !folder.empty() || opened != nullptr; }
};

/// How such a model is doing.
struct DraftModelReport {
  std::size_t weight_bytes = 0; ///< matrices and embeddings, in the enclave's memory
  std::size_t kv_budget = 0;
  std::size_t kv_used = 0;
};

/// What a model that guesses is asked, about one sequence (pipeline/drafter.hpp). Its tokens are
/// told once each.
struct DraftOrder {
  u64 sequence = 0;        ///< enclave::SequenceId
  u32 from = 0;            ///< place in the sequence of the first of `tokens`; those behind the
                           ///< earlier ones before it are forgotten
  std::vector<u32> tokens; ///< all that are known from there on
  u32 drafts = 0;          ///< to guess behind them; 0: none, only read
  u32 most = 0;            ///< positions that the sequence may come to
  std::string owner;       ///< whose computed prefixes it shares; empty: nobody's

  /// Tokens of the sequence.
  u32 length() const { return from + static_cast<u32>(tokens.size()); }
};

/// What came of it.
struct DraftAnswer {
  u64 sequence = 0;
  u32 length = 0;          ///< DraftOrder::length()
  std::vector<u32> drafts; ///< as many as were ordered, or none: it has no place for the sequence
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
  void sent(u32 drafts, DraftKind kind = DraftKind::ngram) noexcept {
    Tally& tally = of(kind);
    ++tally.rounds;
    tally.drafted += drafts;
  }
  /// @param position  of the draft in its round, from 0
  void accepted(std::size_t position, DraftKind kind = DraftKind::ngram) noexcept {
    ++of(kind).by_position.at(position);
  }
  DraftCounts counts(DraftKind kind) const noexcept;
  DraftCounts counts() const noexcept; ///< of all kinds

private:
  struct Tally {
    std::atomic<u64> rounds{0};
    std::atomic<u64> drafted{0};
    std::array<std::atomic<u64>, kMostDrafts> by_position{};
  };
  Tally& of(DraftKind kind) noexcept { return tallies_[static_cast<std::size_t>(kind)]; }

  std::array<Tally, kDraftKinds.size()> tallies_;
};

} // namespace talaria::pipeline
