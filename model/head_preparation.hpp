#pragma once

#include "arch/model_plan.hpp"
#include "model/rope_tables.hpp"
#include "model/weights/quantized.hpp"

namespace talaria::model {

/// What happens to queries, keys and values between their matrix and the scores: norm, RoPE, and
/// scaling by position, as the plan of a layer has them.
class HeadPreparation {
public:
  /// @param neighbours whether the layer's RoPE pairs neighbours (arch::Rope::neighbours).
  /// @param gains of the layer, of which those of q and k are kept.
  HeadPreparation(const arch::Attention& attention, const LayerGains& gains, bool neighbours);

  /// One row, in place: q [heads, head_dim], k [kv_heads, head_dim]. Where neighbours are paired,
  /// the turned dimensions of q and k come out in another order, the same for both, which scores do
  /// not see.
  void prepare(float* q, float* k, const RowPositions& rows, std::size_t row) const;

  /// Takes a row of the layer's matrix [columns()] apart, norms or clips the values if the layer
  /// does, and prepares it. to [q_dim + kv_dim + v_dim]: q, k, v; of a layer that reads another's
  /// keys and values, q alone is written.
  void prepare_row(const float* from, float* to, const RowPositions& rows, std::size_t row) const;

  /// What the heads gave for a row, in place, times sigmoid of the gates that are in `from`, the
  /// row of the matrix; nothing without gates.
  void apply_gate(const float* from, float* heads) const;

private:
  void take_keys_and_values(const float* from, float* k, float* v) const;
  void clip(float* x, std::size_t n) const;
  void norm(float* x, std::size_t heads, const std::vector<float>& gain, float eps) const;
  void turn(float* x, std::size_t heads, const RowPositions::Angles& angles, std::size_t row) const;

  arch::Attention attention_;
  std::vector<float> q_gain_;
  std::vector<float> k_gain_;
  bool neighbours_;
};

} // namespace talaria::model
