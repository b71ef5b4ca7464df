#pragma once

#include <algorithm>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "actors/enclave/micro_batch.hpp"
#include "core/integers.hpp"
#include "kv/prefix_cache.hpp"
#include "kv/store.hpp"
#include "pipeline/padding.hpp"
#include "pipeline/speculation.hpp"

namespace talaria::pipeline {

/// How the scheduler forms micro-batches (`pipeline:` of pipeline.yaml).
struct BatchLimits {
  u32 micro_batches = 2;   ///< in flight at once, >= 1
  u32 max_rows = 256;      ///< rows of one micro-batch, >= 1
  u32 prefill_chunk = 128; ///< prompt tokens of one sequence in one micro-batch, >= 1
  u32 drafts = 0;          ///< the most tokens guessed in a round, < max_rows; 0: none
  /// In every round, also of answers in which they are hardly ever right. Under padding always.
  bool drafts_always = false;
  /// Drafts are ordered of a model (BatchPlanner::draft_orders), not looked for in the context.
  bool drafts_of_model = false;
};

/// Which logits a sequence hands back besides its tokens.
enum class LogitsWanted : u8 {
  none,
  last, ///< of the last prompt position
  all,  ///< of every position
};

/// The most tokens, prompt and answer, that a sequence may have for its keys and values, and those
/// of the dummy rounds behind it, to fit into `kv` if it is alone there.
u32 positions_that_fit(const kv::Store& kv, const BatchLimits& limits, const Padding& padding);

/// @throws Error{config} if a round with as many drafts as `limits` say has no place in a
/// micro-batch.
void validate(const BatchLimits& limits, const Padding& padding);

/// Continuous batching with chunked prefill, as a plain state machine: which rows go next. A
/// sequence has work while it has tokens that have not entered the layers; sequences join and leave
/// between any two micro-batches. Answers do not depend on any choice made here
/// (docs/architecture.md, Exactness), nor on padding: what comes of dummy rows is in no answer.
///
/// Memory for keys and values is taken before rows are sent, so that nothing under way can lack it.
/// A sequence begins when there is room for its prompt and a block more; until then it waits, in
/// the order of arrival. If decoding fills the memory, the sequence that came last gives all of its
/// blocks back, waits, and begins again from its tokens, which gives the same answer. Under padding
/// a sequence begins when there is room for all that it may become, since beginning again would
/// show.
///
/// A sequence with drafts sends as many rows in every round, however many guesses were right. It
/// does without while there are so many sequences that their rounds would take more than a quarter
/// of `max_rows`, and until its DraftJudge holds them to be worth it, unless padding is on or the
/// limits say always.
///
/// Where a model guesses, a round that is to have drafts waits for its answer, and one that is not
/// to have any goes at once; what it would have had is compared if it is there in time. A model
/// without a place for the sequence is replaced by the context. So are dummy rounds served, whose
/// drafts cost what others do.
class BatchPlanner {
public:
  /// `kv` null: nothing is kept of any sequence, as in tests of planning alone. `prefixes`: over
  /// the same store; null: every sequence begins with its first token. So it does under padding,
  /// too.
  explicit BatchPlanner(BatchLimits limits, Padding padding = {},
                        std::shared_ptr<kv::Store> kv = nullptr,
                        std::shared_ptr<kv::PrefixCache> prefixes = nullptr);

  /// A new sequence. `sample`: the last position's logits pick a token; `max_tokens`: how many
  /// follow at most. With the prompt, and dummy rounds, they must be within
  /// positions_that_fit(). `owner`: whose prefixes it shares. `drafts`: tokens
  /// guessed in each of its rounds, at most as many as the limits say; 0 with `logits`.
  void add(enclave::SequenceId sequence, std::vector<u32> prompt, bool sample, LogitsWanted logits,
           u32 max_tokens = 0, kv::PrefixOwner owner = {}, u32 drafts = 0);
  /// Tokens of its prompt that it did not have to compute.
  u32 cached_tokens(enclave::SequenceId sequence) const;
  /// The next token sampled for `sequence`; it has work again, unless the token was a draft of the
  /// same round (`computed`): then its row has passed the layers.
  void append(enclave::SequenceId sequence, u32 token, bool computed = false);
  /// `sequence`, none of whose rows is under way, starts again from its first token, without the
  /// keys and values it had. Logits that were handed back are not handed back again.
  void restart(enclave::SequenceId sequence);
  /// What the model that guesses is to be told and asked now. Sequences that wait for an answer
  /// have no work until guessed().
  std::vector<DraftOrder> draft_orders();
  /// What the model guessed; an answer that comes too late is dropped.
  void guessed(const DraftAnswer& answer);
  /// Where the drafts of its last round came from.
  DraftKind draft_kind(enclave::SequenceId sequence) const;
  /// The sequence is over; rows in flight finish without it. It stops being there at once.
  void remove(enclave::SequenceId sequence);
  /// The same, but it goes on for as many rounds as padding asks for, with its last token again and
  /// again: dummy rounds, which continue its positions.
  void end(enclave::SequenceId sequence);
  /// True if it is over and dummy rounds are still to come or under way.
  bool has_dummy_rounds(enclave::SequenceId sequence) const;
  /// Forgets the dummy rounds that are left. Returns the sequences that had some.
  std::vector<enclave::SequenceId> drop_dummies();

  /// The next micro-batch (segments and tokens), or nothing: no work, no memory, or enough in
  /// flight.
  std::optional<enclave::MicroBatch> next();
  /// The sequences that next() took all blocks from since the last call: the stages have to forget
  /// their keys and values before they get another row of them.
  std::vector<enclave::SequenceId> take_parked() { return std::exchange(parked_, {}); }
  /// Sequences that wait for memory.
  std::size_t waiting_for_memory() const;
  /// True if next() would give one.
  bool ready() const;
  /// A micro-batch has left the layers. Returns the sequences it carried, those among them that are
  /// over.
  std::vector<enclave::SequenceId> retire(u64 micro_batch);
  /// The same for one that failed: dummy rounds of sequences that have finished are forgotten.
  std::vector<enclave::SequenceId> retire_failed(u64 micro_batch);

  /// True while a micro-batch with rows of `sequence` is under way.
  bool under_way(enclave::SequenceId sequence) const;

  std::size_t in_flight() const noexcept { return in_flight_.size(); }
  /// Those with dummy rounds to come included.
  std::size_t sequences() const noexcept { return sequences_.size(); }
  /// Rows of a micro-batch in flight that stand for answers which have ended.
  u32 dummy_rounds(u64 micro_batch) const;
  /// True if nothing runs or waits and no dummy round is left.
  bool idle() const noexcept { return sequences_.empty() && in_flight_.empty(); }

private:
  /// How far a sequence and the model that guesses for it are.
  struct ModelGuess {
    enum class Look : u8 { none, asked, unseen };
    u32 told = 0;    ///< first tokens that it knows
    u32 ordered = 0; ///< tokens of the sequence when it was asked last; 0: never
    bool awaited = false;
    bool lost = false;                 ///< it has no place for the sequence
    Look look = Look::none;            ///< whether it was asked for the round under way
    DraftKind kind = DraftKind::ngram; ///< of the last round
  };
  struct Sequence {
    std::vector<u32> tokens; ///< prompt and sampled tokens
    std::size_t next = 0;    ///< first token that has not entered the layers
    u32 written = 0;         ///< positions that have, those of wrong guesses included
    u32 drafts = 0;          ///< of a round
    std::vector<u32> guess;  ///< what the round to come or under way would draft; empty: none is
    DraftJudge judge;
    ModelGuess model;
    bool sample = true;
    LogitsWanted logits = LogitsWanted::none;
    u32 rounds = 0; ///< that its last row took part in
    bool finished = false;
    u32 dummy_rounds_left = 0;   ///< once it is over
    std::size_t logits_from = 0; ///< positions before this one have handed back theirs
    u32 most = 0;                ///< positions it may come to
    bool admitted = false;       ///< has memory for the tokens it has
    bool failed = false;         ///< rows of it may not have been written
    u32 inherited = 0;           ///< positions that it shares from its beginning
    u32 cached = 0;              ///< the same, when it began for the first time
    kv::PrefixOwner owner;
    std::size_t waiting() const { return tokens.size() - next; }
  };
  struct Flying {
    std::vector<enclave::SequenceId> carried;
    u32 dummies = 0; ///< rows among them that stand for answers which have ended
  };
  /// Rows that `sequence` could send now.
  std::size_t waiting(enclave::SequenceId id, const Sequence& sequence) const;
  bool take(enclave::SequenceId id, Sequence& sequence, enclave::MicroBatch& batch, u32 limit);
  bool take_dummy(enclave::SequenceId id, Sequence& sequence, enclave::MicroBatch& batch);
  bool begin_segment(enclave::SequenceId id, Sequence& sequence, u32 count, u32 drafts,
                     enclave::MicroBatch& batch, enclave::Segment& segment);
  u32 drafts_now(const Sequence& sequence) const;
  bool is_crowded(const Sequence& sequence) const;
  bool asks_model(const Sequence& sequence) const {
    return limits_.drafts_of_model && !sequence.model.lost;
  }
  bool asks_now(enclave::SequenceId id, Sequence& sequence, DraftOrder& order) const;
  static u32 length_of_round(const Sequence& sequence);
  static void judge_round(Sequence& sequence, u32 token);
  void make_guess(Sequence& sequence, u32 length, u32 drafts) const;
  void add_drafts(Sequence& sequence, u32 length, u32 drafts, enclave::MicroBatch& batch) const;
  static void begin_again(Sequence& sequence);
  void fill_up(enclave::MicroBatch& batch) const;
  void forget(enclave::SequenceId id);

  void admit_waiting();
  bool admit(enclave::SequenceId id, Sequence& sequence);
  bool allot(enclave::SequenceId id, enclave::Segment& segment, const enclave::MicroBatch& batch);
  bool park_last(enclave::SequenceId wanting, const enclave::MicroBatch& batch);
  void begin_with_prefix(enclave::SequenceId id, Sequence& sequence);
  void keep_prefix(enclave::SequenceId id, const Sequence& sequence);
  void release_unless_under_way(enclave::SequenceId id);

  BatchLimits limits_;
  Padding padding_;
  std::shared_ptr<kv::Store> kv_;
  std::shared_ptr<kv::PrefixCache> prefixes_; ///< null: none
  std::vector<enclave::SequenceId> parked_;
  std::set<enclave::SequenceId> to_release_; ///< over, with rows under way
  std::map<enclave::SequenceId, Sequence> sequences_;
  std::map<u64, Flying> in_flight_;
  u64 last_id_ = 0;
  enclave::SequenceId turn_ =
      0; ///< the sequence served last: the next micro-batch starts behind it
};

} // namespace talaria::pipeline
