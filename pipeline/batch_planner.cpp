#include "pipeline/batch_planner.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <span>

#include "core/error.hpp"
#include "core/secret.hpp"
#include "pipeline/wipe_tokens.hpp"

namespace talaria::pipeline {

using enclave::MicroBatch;
using enclave::SequenceId;

namespace {

bool contains(const std::vector<SequenceId>& list, SequenceId id) {
  return std::find(list.begin(), list.end(), id) != list.end();
}

/// The most rows of one sequence in one micro-batch.
u32 chunk_of(const BatchLimits& limits) {
  return std::max(std::min(limits.prefill_chunk, limits.max_rows), 1 + limits.drafts);
}

u32 most_rows(const BatchLimits& limits, const Padding& padding) {
  return padding.buckets.empty() ? limits.max_rows
                                 : std::min(limits.max_rows, padding.buckets.back());
}

} // namespace

void validate(const BatchLimits& limits, const Padding& padding) {
  if (limits.drafts > kMostDrafts)
    throw Error(Errc::config, fmt::format("speculation: {} drafts a round; expected at most {}",
                                          limits.drafts, kMostDrafts));
  const u32 rows = most_rows(limits, padding);
  if (limits.drafts != 0 && limits.drafts >= rows)
    throw Error(Errc::config,
                fmt::format("speculation: {} drafts make rounds of {} rows, and a micro-batch "
                            "holds {} at most (pipeline.max_rows, the largest bucket)",
                            limits.drafts, 1 + limits.drafts, rows));
}

u32 positions_that_fit(const kv::Store& kv, const BatchLimits& limits, const Padding& padding) {
  const u32 fitting = kv.layout().positions_for(kv.usage().budget, chunk_of(limits));
  return fitting - std::min(fitting, padding.rounds - 1 + limits.drafts);
}

BatchPlanner::BatchPlanner(BatchLimits limits, Padding padding, std::shared_ptr<kv::Store> kv,
                           std::shared_ptr<kv::PrefixCache> prefixes)
    : limits_(limits), padding_(std::move(padding)), kv_(std::move(kv)) {
  if (!padding_.is_on()) prefixes_ = std::move(prefixes); // hits show as rows
  limits_.max_rows = most_rows(limits_, padding_);
}

void BatchPlanner::add(SequenceId id, std::vector<u32> prompt, bool sample, LogitsWanted logits,
                       u32 max_tokens, kv::PrefixOwner owner, u32 drafts) {
  Sequence sequence;
  sequence.drafts = sample && logits == LogitsWanted::none ? std::min(drafts, limits_.drafts) : 0;
  sequence.tokens = std::move(prompt);
  sequence.owner = std::move(owner);
  sequence.sample = sample;
  sequence.logits = logits;
  sequence.most = static_cast<u32>(sequence.tokens.size()) + max_tokens +
                  (sample ? padding_.rounds - 1 : 0) + sequence.drafts;
  sequences_.insert_or_assign(id, std::move(sequence));
  admit_waiting();
}

void BatchPlanner::append(SequenceId id, u32 token, bool computed) {
  const auto it = sequences_.find(id);
  if (it == sequences_.end() || it->second.finished) return;
  Sequence& sequence = it->second;
  judge_round(sequence, token);
  sequence.tokens.push_back(token);
  if (computed) ++sequence.next;
}

void BatchPlanner::restart(SequenceId id) {
  Sequence& sequence = sequences_.at(id);
  sequence.logits_from = std::max(sequence.logits_from, sequence.next);
  begin_again(sequence);
  if (kv_) kv_->truncate(id, 0);
}

void BatchPlanner::begin_again(Sequence& sequence) {
  sequence.next = 0;
  sequence.written = 0;
  sequence.inherited = 0;
}

u32 BatchPlanner::cached_tokens(SequenceId id) const {
  const auto it = sequences_.find(id);
  return it == sequences_.end() ? 0 : it->second.cached;
}

void BatchPlanner::remove(SequenceId sequence) {
  forget(sequence);
}

void BatchPlanner::end(SequenceId sequence) {
  const auto it = sequences_.find(sequence);
  if (it == sequences_.end() || it->second.finished) return;
  Sequence& ended = it->second;
  const u32 dummy_rounds = ended.sample ? padding_.dummy_rounds_for(ended.rounds) : 0;
  if (dummy_rounds == 0) return forget(sequence);
  // Its tokens stay as its keys do: dummy rounds guess as its rounds did.
  const std::size_t passed = std::max<std::size_t>(ended.next, 1);
  wipe(ended.tokens.data() + passed, (ended.tokens.size() - passed) * sizeof(u32));
  ended.tokens.resize(passed);
  ended.finished = true;
  ended.dummy_rounds_left = dummy_rounds;
}

bool BatchPlanner::has_dummy_rounds(SequenceId sequence) const {
  const auto it = sequences_.find(sequence);
  return it != sequences_.end() && it->second.finished;
}

std::vector<SequenceId> BatchPlanner::drop_dummies() {
  std::vector<SequenceId> dropped;
  for (const auto& [id, sequence] : sequences_)
    if (sequence.finished) dropped.push_back(id);
  for (const SequenceId id : dropped) forget(id);
  return dropped;
}

void BatchPlanner::forget(SequenceId id) {
  const auto it = sequences_.find(id);
  if (it == sequences_.end()) return;
  keep_prefix(id, it->second);
  wipe_tokens(it->second.tokens);
  wipe_tokens(it->second.guess);
  sequences_.erase(it);
  to_release_.insert(id);
  release_unless_under_way(id);
}

/// Blocks go back when no row needs them any more.
void BatchPlanner::release_unless_under_way(SequenceId id) {
  if (!to_release_.contains(id) || under_way(id)) return;
  to_release_.erase(id);
  if (kv_) kv_->release(id);
  admit_waiting();
}

/// In the order of arrival: one that needs little does not overtake one that needs much.
void BatchPlanner::admit_waiting() {
  for (auto& [id, sequence] : sequences_)
    if (!sequence.admitted && !admit(id, sequence)) return;
}

bool BatchPlanner::admit(SequenceId id, Sequence& sequence) {
  sequence.admitted = true;
  if (!kv_) return true;
  if (sequence.next == 0 && sequence.inherited == 0) begin_with_prefix(id, sequence);
  const auto tokens = static_cast<u32>(sequence.tokens.size());
  const u32 soon = std::max(tokens, std::min(sequence.most, tokens + kv::kBlockPositions));
  const u32 wanted = padding_.is_on() ? sequence.most : soon;
  const std::size_t bytes = kv_->layout().bytes_for(wanted, chunk_of(limits_), sequence.inherited);
  while (!kv_->reserve(id, bytes)) {
    if (prefixes_ && prefixes_->evict()) continue;
    // What it waits with, it waits without: others may need these blocks.
    kv_->truncate(id, 0);
    begin_again(sequence);
    sequence.admitted = false;
    return false;
  }
  return true;
}

/// Rows whose logits are wanted have to be computed; the last one always is.
void BatchPlanner::begin_with_prefix(SequenceId id, Sequence& sequence) {
  if (!prefixes_ || sequence.logits == LogitsWanted::all) return;
  sequence.inherited = prefixes_->begin(sequence.owner, sequence.tokens, id);
  sequence.next = sequence.written = sequence.inherited;
  if (sequence.rounds == 0) sequence.cached = sequence.inherited;
}

/// Only of a sequence all of whose rows have passed all layers: the stages write nothing more for
/// one that is abandoned.
void BatchPlanner::keep_prefix(SequenceId id, const Sequence& sequence) {
  if (!prefixes_ || sequence.failed || under_way(id)) return;
  prefixes_->keep(sequence.owner, std::span(sequence.tokens).first(sequence.next), id);
}

std::size_t BatchPlanner::waiting_for_memory() const {
  return static_cast<std::size_t>(
      std::count_if(sequences_.begin(), sequences_.end(),
                    [](const auto& entry) { return !entry.second.admitted; }));
}

/// Gives the segment its blocks, if need be those of sequences that came later. Returns false if
/// there are none now.
bool BatchPlanner::allot(SequenceId id, enclave::Segment& segment, const MicroBatch& batch) {
  if (!kv_) return true;
  do {
    segment.blocks = kv_->extend(id, segment.start, segment.count);
    if (segment.blocks) return true;
  } while ((prefixes_ && prefixes_->evict()) || park_last(id, batch));
  return false;
}

/// Takes the blocks of the sequence that came last. Returns false if it is the one that wants some,
/// or if memory will be free without that: rows under way of it, or of one that is over, are waited
/// for.
bool BatchPlanner::park_last(SequenceId wanting, const MicroBatch& batch) {
  const auto last = std::find_if(sequences_.rbegin(), sequences_.rend(),
                                 [](const auto& entry) { return entry.second.admitted; });
  if (!to_release_.empty() || last == sequences_.rend() || under_way(last->first)) return false;
  const SequenceId id = last->first;
  const auto is_of_it = [id](const enclave::Segment& s) { return s.sequence == id; };
  if (std::any_of(batch.segments.begin(), batch.segments.end(), is_of_it)) return false;
  restart(id);
  kv_->reserve(id, 0);
  last->second.admitted = false;
  parked_.push_back(id);
  return id != wanting;
}

/// A dummy round waits for the one before it, as a round of decoding would.
std::size_t BatchPlanner::waiting(SequenceId id, const Sequence& sequence) const {
  if (!sequence.admitted || sequence.model.awaited) return 0;
  if (!sequence.finished) return sequence.waiting();
  const bool busy = std::any_of(in_flight_.begin(), in_flight_.end(), [id](const auto& entry) {
    return contains(entry.second.carried, id);
  });
  return sequence.dummy_rounds_left > 0 && !busy ? 1 : 0;
}

bool BatchPlanner::ready() const {
  return in_flight_.size() < limits_.micro_batches &&
         std::any_of(sequences_.begin(), sequences_.end(),
                     [this](const auto& entry) { return waiting(entry.first, entry.second) > 0; });
}

std::optional<MicroBatch> BatchPlanner::next() {
  if (in_flight_.size() >= limits_.micro_batches) return std::nullopt;
  admit_waiting();

  // Sequences in turn, those that wait for a single token first: decoding is what people watch.
  std::vector<SequenceId> decoding;
  std::vector<SequenceId> prefilling;
  const auto sort_in = [&](const auto& entry) {
    const std::size_t rows = waiting(entry.first, entry.second);
    if (rows == 1)
      decoding.push_back(entry.first);
    else if (rows > 1)
      prefilling.push_back(entry.first);
  };
  const auto middle = sequences_.upper_bound(turn_);
  std::for_each(middle, sequences_.end(), sort_in);
  std::for_each(sequences_.begin(), middle, sort_in);

  // Leave decoding rows for the other micro-batches, so that one can be on the wire while another
  // is in attention.
  const std::size_t total = sequences_.size();
  const std::size_t fair = (total + limits_.micro_batches - 1) / limits_.micro_batches;
  MicroBatch batch;
  Flying flying;
  for (const SequenceId id : decoding) {
    if (batch.segments.size() >= fair) break;
    Sequence& sequence = sequences_.at(id);
    if (!sequence.admitted) continue; // parked just now
    const bool taken =
        sequence.finished ? take_dummy(id, sequence, batch) : take(id, sequence, batch, 1);
    if (!taken && sequence.admitted) break;
    turn_ = id;
  }
  for (const SequenceId id : prefilling) {
    Sequence& sequence = sequences_.at(id);
    if (!sequence.admitted) continue;
    if (!take(id, sequence, batch, limits_.prefill_chunk) && sequence.admitted) break;
    turn_ = id;
  }
  if (batch.rows == 0) return std::nullopt;
  fill_up(batch);
  batch.id = ++last_id_;
  for (const auto& segment : batch.segments) {
    flying.carried.push_back(segment.sequence);
    flying.dummies += segment.dummy ? 1 : 0;
  }
  in_flight_.emplace(batch.id, std::move(flying));
  return batch;
}

/// Drafts of a round that begins now. Workers see it, so that it follows from what they see anyway
/// and, without padding, from what DraftJudge makes of the answer.
u32 BatchPlanner::drafts_now(const Sequence& sequence) const {
  if (is_crowded(sequence)) return 0;
  const bool always = padding_.is_on() || limits_.drafts_always;
  return always || sequence.judge.worth_it() ? sequence.drafts : 0;
}

/// Room in the batch and memory for `count` tokens and so many drafts behind them; false if there
/// is none. The segment has its place then, and the sequence has come that far.
bool BatchPlanner::begin_segment(SequenceId id, Sequence& sequence, u32 count, u32 drafts,
                                 MicroBatch& batch, enclave::Segment& segment) {
  if (batch.rows + count + drafts > limits_.max_rows) return false;
  segment.sequence = id;
  segment.start = static_cast<u32>(sequence.next);
  segment.count = count + drafts;
  segment.drafts = segment.acceptable = drafts;
  segment.inherited = sequence.inherited;
  segment.discarded = sequence.written - segment.start;
  if (!allot(id, segment, batch)) return false;
  sequence.written = segment.start + segment.count;
  sequence.next += count;
  batch.rows += segment.count;
  return true;
}

/// Moves up to `limit` tokens into the batch; false if it is full, or there is no memory.
bool BatchPlanner::take(SequenceId id, Sequence& sequence, MicroBatch& batch, u32 limit) {
  const std::size_t room = limits_.max_rows - batch.rows;
  const std::size_t count = std::min({sequence.waiting(), std::size_t{limit}, room});
  if (count == 0) return false;
  const bool last_chunk = count == sequence.waiting();
  const bool guesses = sequence.sample && sequence.drafts != 0 && sequence.waiting() == 1;
  const u32 drafts = guesses ? drafts_now(sequence) : 0;
  const std::size_t begin = sequence.next;
  enclave::Segment segment;
  if (!begin_segment(id, sequence, static_cast<u32>(count), drafts, batch, segment)) return false;
  segment.sample = sequence.sample && last_chunk;
  if (segment.sample) ++sequence.rounds;
  const std::size_t end = begin + count;
  if (sequence.logits == LogitsWanted::all)
    segment.logits_rows = static_cast<u32>(end - std::clamp(sequence.logits_from, begin, end));
  else if (sequence.logits == LogitsWanted::last && last_chunk)
    segment.logits_rows = 1; // whatever else has passed before it began again
  const auto first = sequence.tokens.begin() + static_cast<std::ptrdiff_t>(begin);
  batch.tokens.insert(batch.tokens.end(), first, first + static_cast<std::ptrdiff_t>(count));
  if (guesses) add_drafts(sequence, length_of_round(sequence), drafts, batch);
  batch.segments.push_back(std::move(segment));
  return true;
}

/// A dummy round, which passes all stages as a round of decoding would: it continues its sequence,
/// beyond the model's context if need be, and is sampled from. None of its drafts is kept.
bool BatchPlanner::take_dummy(SequenceId id, Sequence& sequence, MicroBatch& batch) {
  const u32 drafts = drafts_now(sequence);
  const u32 length = length_of_round(sequence);
  enclave::Segment segment;
  if (!begin_segment(id, sequence, 1, drafts, batch, segment)) return false;
  segment.sample = true;
  segment.dummy = true;
  batch.tokens.push_back(sequence.tokens.back());
  add_drafts(sequence, length, drafts, batch);
  wipe_tokens(sequence.guess);
  batch.segments.push_back(std::move(segment));
  --sequence.dummy_rounds_left;
  return true;
}

/// Dummy rows up to the next buckets. With buckets, a chunk of a prompt whose logits nobody wants
/// sends rows behind the last layer's attention too: which chunk was the last must not show.
void BatchPlanner::fill_up(MicroBatch& batch) const {
  if (padding_.buckets.empty()) return;
  batch.even = true;
  const u32 rows = padding_.filled(batch.rows);
  batch.padding += rows - batch.rows;
  batch.rows = rows;
  const u32 head = batch.head_rows();
  batch.head_padding += padding_.filled(head) - head; // at least the smallest bucket
}

bool BatchPlanner::under_way(SequenceId sequence) const {
  return std::any_of(in_flight_.begin(), in_flight_.end(), [sequence](const auto& entry) {
    return contains(entry.second.carried, sequence);
  });
}

u32 BatchPlanner::dummy_rounds(u64 micro_batch) const {
  const auto it = in_flight_.find(micro_batch);
  return it == in_flight_.end() ? 0 : it->second.dummies;
}

std::vector<SequenceId> BatchPlanner::retire(u64 micro_batch) {
  auto node = in_flight_.extract(micro_batch);
  if (node.empty()) return {};
  for (const SequenceId id : node.mapped().carried)
    if (const auto it = sequences_.find(id);
        it != sequences_.end() && it->second.finished && it->second.dummy_rounds_left == 0)
      forget(id);
    else
      release_unless_under_way(id);
  return std::move(node.mapped().carried);
}

std::vector<SequenceId> BatchPlanner::retire_failed(u64 micro_batch) {
  const auto it = in_flight_.find(micro_batch);
  if (it == in_flight_.end()) return {};
  for (const SequenceId id : it->second.carried) {
    if (const auto sequence = sequences_.find(id); sequence != sequences_.end())
      sequence->second.failed = true;
    if (has_dummy_rounds(id)) forget(id);
  }
  return retire(micro_batch);
}

} // namespace talaria::pipeline
