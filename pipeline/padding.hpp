#pragma once

#include <atomic>
#include <chrono>
#include <vector>

#include "core/integers.hpp"

namespace talaria::pipeline {

/// What makes traffic look alike (`masking.padding` of pipeline.yaml): a worker sees how many rows
/// come and when, and from that follow the lengths of prompts and answers. Off unless set.
struct Padding {
  /// Rows of every tensor that leaves are filled up with dummy rows to the next of these;
  /// ascending. No micro-batch holds more rows than the last. Empty: rows stay as they are.
  std::vector<u32> buckets;
  /// The number of rounds in which an answer takes part is filled up to a multiple of this with
  /// rounds that carry a dummy row; >= 1.
  u32 rounds = 1;
  /// Micro-batches start at multiples of this time only; 0: as soon as they can.
  std::chrono::milliseconds pace{0};

  bool is_on() const noexcept { return !buckets.empty() || rounds > 1 || pace.count() > 0; }
  /// The smallest bucket that holds `rows`, or `rows` without buckets.
  u32 filled(u32 rows) const noexcept;
  /// Rounds to add to an answer of `rounds_so_far`.
  u32 dummy_rounds_for(u32 rounds_so_far) const noexcept;
};

/// @throws Error{config} unless the buckets ascend from at least 1 to at most `max_rows` and
/// `rounds` is positive and `pace` not negative.
void validate(const Padding& padding, u32 max_rows);

/// What padding cost so far. A row counts once, however many layers it passes.
struct PaddingCost {
  u64 rows = 0;         ///< rows of micro-batches, dummies included
  u64 dummy_rows = 0;   ///< of these
  u64 dummy_rounds = 0; ///< dummy rows among them that stood for an answer which had ended
  u64 late_rounds = 0;  ///< micro-batches that were not back when their pace had passed
};

/// Counts it; written by the scheduler, read by anyone.
class PaddingLedger {
public:
  void sent(u32 rows, u32 dummies, u32 rounds) noexcept {
    rows_ += rows;
    dummy_rows_ += dummies;
    dummy_rounds_ += rounds;
  }
  void late() noexcept { ++late_rounds_; }
  PaddingCost cost() const noexcept { return {rows_, dummy_rows_, dummy_rounds_, late_rounds_}; }

private:
  std::atomic<u64> rows_{0};
  std::atomic<u64> dummy_rows_{0};
  std::atomic<u64> dummy_rounds_{0};
  std::atomic<u64> late_rounds_{0};
};

} // namespace talaria::pipeline
