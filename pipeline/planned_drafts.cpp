// What BatchPlanner has to do with drafts: when they are ordered of a model, where those of a round
// come from, and what is made of them.
#include <algorithm>

#include "pipeline/batch_planner.hpp"
#include "pipeline/wipe_tokens.hpp"

namespace talaria::pipeline {

using enclave::MicroBatch;
using enclave::SequenceId;

/// With so many sequences that their rounds would take more than a quarter of the rows.
bool BatchPlanner::is_crowded(const Sequence& sequence) const {
  const std::size_t rows = sequences_.size() * (1 + std::size_t{sequence.drafts});
  const std::size_t most = std::max<std::size_t>(limits_.max_rows / 4, 1 + sequence.drafts);
  return rows > most;
}

/// Tokens that a sequence has when its next round begins. A dummy round has the last one again.
u32 BatchPlanner::length_of_round(const Sequence& sequence) {
  return static_cast<u32>(sequence.finished ? sequence.next + 1 : sequence.tokens.size());
}

std::vector<DraftOrder> BatchPlanner::draft_orders() {
  std::vector<DraftOrder> orders;
  if (!limits_.drafts_of_model) return orders;
  for (auto& [id, sequence] : sequences_) {
    if (sequence.drafts == 0 || !sequence.admitted || !asks_model(sequence)) continue;
    DraftOrder order;
    if (!asks_now(id, sequence, order)) continue;
    const u32 length = length_of_round(sequence);
    const std::vector<u32>& tokens = sequence.tokens;
    order.sequence = id;
    order.from = std::min(sequence.model.told, length);
    for (std::size_t i = order.from; i < length; ++i)
      order.tokens.push_back(i < tokens.size() ? tokens[i] : tokens.back());
    order.most = sequence.most;
    if (!padding_.is_on()) order.owner = sequence.owner.name; // hits would show as time
    sequence.model.told = length;
    orders.push_back(std::move(order));
  }
  return orders;
}

/// Whether there is something to order; how many drafts. A prompt is read ahead while it passes the
/// layers; a round has to have drafts, or is to be compared with what they would have been.
bool BatchPlanner::asks_now(SequenceId id, Sequence& sequence, DraftOrder& order) const {
  ModelGuess& model = sequence.model;
  if (is_crowded(sequence)) return false;
  if (waiting(id, sequence) != 1) return model.told == 0 && !sequence.finished;
  const u32 length = length_of_round(sequence);
  if (model.ordered == length) return false;
  const u32 drafts = drafts_now(sequence);
  if (drafts == 0 && !sequence.judge.looks()) return model.told == 0;
  model.ordered = length;
  model.awaited = drafts != 0;
  wipe_tokens(sequence.guess);
  order.drafts = std::max(drafts, 1U);
  return true;
}

void BatchPlanner::guessed(const DraftAnswer& answer) {
  const auto it = sequences_.find(answer.sequence);
  if (it == sequences_.end()) return;
  Sequence& sequence = it->second;
  if (answer.drafts.empty()) {
    sequence.model.lost = true;
    sequence.model.awaited = false;
  } else if (answer.length == sequence.model.ordered &&
             answer.length == length_of_round(sequence)) {
    sequence.model.awaited = false;
    sequence.guess = answer.drafts;
  }
}

DraftKind BatchPlanner::draft_kind(SequenceId sequence) const {
  const auto it = sequences_.find(sequence);
  return it == sequences_.end() ? DraftKind::ngram : it->second.model.kind;
}

/// What the round that begins at `length` tokens would draft, `drafts` of which go. What a model
/// has not answered in time is left open: its answer may still come before the token does.
void BatchPlanner::make_guess(Sequence& sequence, u32 length, u32 drafts) const {
  ModelGuess& model = sequence.model;
  model.look = ModelGuess::Look::none;
  model.kind = DraftKind::ngram;
  if (asks_model(sequence)) {
    const bool asked = model.ordered == length;
    model.look = asked ? ModelGuess::Look::asked : ModelGuess::Look::unseen;
    if (!asked) wipe_tokens(sequence.guess);
    if (drafts == 0) return;
    if (sequence.guess.size() >= drafts) {
      model.kind = DraftKind::model;
      return;
    }
  }
  sequence.guess.resize(sequence.drafts);
  draft_from_context(sequence.tokens, sequence.guess);
}

void BatchPlanner::add_drafts(Sequence& sequence, u32 length, u32 drafts, MicroBatch& batch) const {
  make_guess(sequence, length, drafts);
  batch.tokens.insert(batch.tokens.end(), sequence.guess.begin(),
                      sequence.guess.begin() + static_cast<std::ptrdiff_t>(drafts));
}

/// By the first token that came of a round. A guess that is later than the token is none: a model
/// which takes longer than a round does not pay, however much it knows.
void BatchPlanner::judge_round(Sequence& sequence, u32 token) {
  using Look = ModelGuess::Look;
  if (!sequence.guess.empty())
    sequence.judge.round(sequence.guess.front() == token);
  else if (sequence.model.look == Look::asked)
    sequence.judge.round(false);
  else if (sequence.model.look == Look::unseen)
    sequence.judge.unseen_round();
  sequence.model.look = Look::none;
  wipe_tokens(sequence.guess);
}

} // namespace talaria::pipeline
