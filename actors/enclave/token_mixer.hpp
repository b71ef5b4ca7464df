#pragma once

#include <map>
#include <memory>
#include <set>

#include "actors/enclave/stage_context.hpp"

namespace talaria::enclave {

/// The part of a layer in which rows see those before them: attention, or a state that goes from
/// row to row. Knows how far each sequence has come.
class TokenMixer {
public:
  explicit TokenMixer(bool last_layer) : last_layer_(last_layer) {}
  virtual ~TokenMixer() = default;
  TokenMixer(const TokenMixer&) = delete;
  TokenMixer& operator=(const TokenMixer&) = delete;

  /// One row for each row of `x`, which is what the layer's first matrix gave. Rows of abandoned
  /// sequences, and padding, come out as zeros.
  virtual Matrix<float> run(const MicroBatch& batch, const Matrix<float>& x,
                            const model::RowPositions& positions) = 0;

  bool is_last_layer() const { return last_layer_; }
  /// True if every segment continues its sequence exactly where the rows before it ended, or
  /// takes back as many of them as it says.
  bool ready(const MicroBatch& batch) const;
  void abandon(SequenceId sequence);
  void forget(SequenceId sequence);

protected:
  bool is_abandoned(SequenceId sequence) const { return abandoned_.contains(sequence); }
  /// The first `positions` of a sequence have been written.
  void has_come_to(SequenceId sequence, u32 positions) { lengths_[sequence] = positions; }

private:
  bool last_layer_;
  std::map<SequenceId, u32> lengths_; ///< positions that have been written
  std::set<SequenceId> abandoned_;    ///< over, with rows still under way
};

/// The stage of a mixer (attention_stage.hpp draws it).
AttentionStage spawn_mixer(caf::actor_system& system, StageContext context,
                           std::unique_ptr<TokenMixer> mixer, Stage next, SamplerStage drain);

} // namespace talaria::enclave
