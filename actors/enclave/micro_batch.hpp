#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/integers.hpp"
#include "core/matrix.hpp"
#include "core/secret.hpp"
#include "kv/block_list.hpp"

// What the stages pass to each other, as values: without CAF, so that whoever plans micro-batches
// or asks an engine does not compile it (docs/adr/0010).

namespace talaria::model {
class Adapter;
}

namespace talaria::enclave {

/// Base of every message that must never leave the process. Serialising one is refused with
/// sec::invalid_argument, and printing one shows its type and nothing else: a clear tensor has no
/// form outside the enclave's memory.
struct StaysInEnclave {};

/// An activation shared between stages, immutable, wiped when the last stage lets go of it.
using ClearTensor = std::shared_ptr<const Matrix<float>>;

inline ClearTensor share_clear(Matrix<float> matrix) {
  return ClearTensor(new Matrix<float>(std::move(matrix)), [](const Matrix<float>* m) {
    auto* mutable_matrix = const_cast<Matrix<float>*>(m);
    wipe(mutable_matrix->data(), m->rows() * m->cols() * sizeof(float));
    delete m;
  });
}

using SequenceId = u64;

/// When a message was sent, for traces; the default: nobody traces.
using MessageTime = std::chrono::steady_clock::time_point;

/// Consecutive positions of one sequence inside a micro-batch.
struct Segment {
  SequenceId sequence = 0;
  u32 start = 0;       ///< position of the first row
  u32 count = 0;       ///< rows
  bool sample = false; ///< the last row's logits pick the next token; with drafts, see there
  /// The last rows are of tokens that were guessed. With `sample` a token is drawn from the row
  /// before them, and one from each of theirs as long as the token before was guessed right.
  u32 drafts = 0;
  u32 acceptable = 0; ///< of these, the ones that may be kept
  /// Positions from `start` on that the rows before have written for guesses which were not kept:
  /// these rows write over them.
  u32 discarded = 0;
  u32 logits_rows = 0; ///< trailing rows whose logits the caller asked for
  u64 trace = 0;       ///< of its request
  /// A dummy round of an answer that has finished: it passes every stage as a round of the
  /// answer would, and nobody hears what comes of it.
  bool dummy = false;
  u32 length = 0;    ///< tokens of the sequence when it began or began again (model::RopeTables)
  u32 inherited = 0; ///< first positions of the sequence that earlier ones have written
  /// Where the keys and values of these rows go, and where those before them are that they see.
  kv::BlockListPtr blocks = nullptr;
  /// What the request adds to the model's matrices, dummy rounds of it as well; null: nothing.
  std::shared_ptr<const model::Adapter> adapter = nullptr;

  /// Trailing rows that go through the head.
  u32 wanted_rows() const { return std::max(logits_rows, sample ? 1 + drafts : 0U); }
};

/// The rows that travel through the layers together: tokens of one or several sequences.
struct MicroBatch {
  u64 id = 0;
  u32 rows = 0;         ///< padding included
  u32 padding = 0;      ///< the last rows, which are nobody's: zeros in all layers
  u32 head_padding = 0; ///< the same among the rows behind the last layer's attention
  /// Attention and sampling take as long whichever of the rows are padding: every row attends to as
  /// many positions as the one with the longest context, and a token is drawn for every row.
  bool even = false;
  std::vector<Segment> segments;
  std::vector<u32> tokens; ///< [rows - padding]

  /// Of the request that its spans are filed under: the first one it carries.
  u64 trace() const { return segments.empty() ? 0 : segments.front().trace; }

  u32 wanted_rows() const {
    u32 n = 0;
    for (const Segment& s : segments) n += s.wanted_rows();
    return n;
  }
  /// Rows that go on behind the last layer's attention.
  u32 head_rows() const { return wanted_rows() + head_padding; }
  bool has_drafts() const {
    return std::any_of(segments.begin(), segments.end(),
                       [](const Segment& s) { return s.drafts != 0; });
  }
};
using MicroBatchPtr = std::shared_ptr<const MicroBatch>;

/// How likely tokens were, which a sequence may hand back beside them; with how many of the
/// likeliest others each.
struct ScoresWanted {
  std::optional<u32> answer; ///< of the tokens that are sampled; nothing: none
  std::optional<u32> prompt; ///< of the prompt's, from the second on, whose rows must be wanted

  bool any() const noexcept { return answer || prompt; }
};

} // namespace talaria::enclave
