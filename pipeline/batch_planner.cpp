#include "pipeline/batch_planner.hpp"

#include <algorithm>

#include "core/secret.hpp"

namespace talaria::pipeline {

using enclave::MicroBatch;
using enclave::SequenceId;

void BatchPlanner::add(SequenceId sequence, std::vector<u32> prompt, bool sample,
                       LogitsWanted logits) {
  sequences_.insert_or_assign(sequence, Sequence{std::move(prompt), 0, sample, logits});
}

void BatchPlanner::append(SequenceId sequence, u32 token) {
  if (const auto it = sequences_.find(sequence); it != sequences_.end())
    it->second.tokens.push_back(token);
}

void BatchPlanner::remove(SequenceId sequence) {
  const auto it = sequences_.find(sequence);
  if (it == sequences_.end()) return;
  wipe(it->second.tokens.data(), it->second.tokens.size() * sizeof(u32));
  sequences_.erase(it);
}

std::optional<MicroBatch> BatchPlanner::next() {
  if (in_flight_.size() >= limits_.micro_batches) return std::nullopt;

  // Sequences in turn, those that wait for a single token first: decoding is what people watch.
  std::vector<SequenceId> decoding;
  std::vector<SequenceId> prefilling;
  const auto sort_in = [&](const auto& entry) {
    if (entry.second.waiting() == 1)
      decoding.push_back(entry.first);
    else if (entry.second.waiting() > 1)
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
  for (const SequenceId id : decoding) {
    if (batch.segments.size() >= fair) break;
    if (!take(id, sequences_.at(id), batch, 1)) break;
    turn_ = id;
  }
  for (const SequenceId id : prefilling) {
    if (!take(id, sequences_.at(id), batch, limits_.prefill_chunk)) break;
    turn_ = id;
  }
  if (batch.rows == 0) return std::nullopt;
  batch.id = ++last_id_;
  auto& carried = in_flight_[batch.id];
  for (const auto& segment : batch.segments) carried.push_back(segment.sequence);
  return batch;
}

/// Moves up to `limit` tokens into the batch; false if it is full.
bool BatchPlanner::take(SequenceId id, Sequence& sequence, MicroBatch& batch, u32 limit) const {
  const std::size_t room = limits_.max_rows - batch.rows;
  const std::size_t count = std::min({sequence.waiting(), std::size_t{limit}, room});
  if (count == 0) return false;
  enclave::Segment segment;
  segment.sequence = id;
  segment.start = static_cast<u32>(sequence.next);
  segment.count = static_cast<u32>(count);
  const bool last_chunk = count == sequence.waiting();
  segment.sample = sequence.sample && last_chunk;
  if (sequence.logits == LogitsWanted::all)
    segment.logits_rows = segment.count;
  else if (sequence.logits == LogitsWanted::last && last_chunk)
    segment.logits_rows = 1;
  const auto first = sequence.tokens.begin() + static_cast<std::ptrdiff_t>(sequence.next);
  batch.tokens.insert(batch.tokens.end(), first, first + static_cast<std::ptrdiff_t>(count));
  batch.rows += segment.count;
  batch.segments.push_back(segment);
  sequence.next += count;
  return true;
}

bool BatchPlanner::under_way(SequenceId sequence) const {
  return std::any_of(in_flight_.begin(), in_flight_.end(), [sequence](const auto& entry) {
    const auto& carried = entry.second;
    return std::find(carried.begin(), carried.end(), sequence) != carried.end();
  });
}

std::vector<SequenceId> BatchPlanner::retire(u64 micro_batch) {
  auto node = in_flight_.extract(micro_batch);
  return node.empty() ? std::vector<SequenceId>() : std::move(node.mapped());
}

} // namespace talaria::pipeline
