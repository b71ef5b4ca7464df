#pragma once

#include <memory>
#include <span>
#include <vector>

#include "audit/matching.hpp"
#include "audit/public_model.hpp"
#include "model/rope_tables.hpp"

namespace talaria::audit {

/// The first layers of the public model in fp32, run by an attacker on a prefix and many candidates
/// for the token behind it. As near to the enclave's arithmetic as matching needs, not bit for bit.
class BlockRunner {
public:
  /// Runs `layers` layers, in [1, model.layers). Keeps their weights as floats.
  BlockRunner(std::shared_ptr<const PublicModel> model, u32 layers);
  ~BlockRunner();

  /// Forgets the prefix.
  void restart();
  /// Number of tokens in the prefix.
  std::size_t length() const noexcept { return length_; }
  /// Input of the next layer's qkv (RMS-normed, if the model norms it) for each candidate behind
  /// the prefix.
  Rows candidates(std::span<const u32> tokens);
  /// Makes `token` part of the prefix.
  void append(u32 token);

private:
  struct Layer;
  struct PerLayer;
  void attend(Layer& layer, const Rows& qkv, Rows& out, bool keep);
  void attend_row(Layer& layer, const float* qkv, Eigen::Index r,
                  const model::RowPositions& position, float* out);
  Rows per_layer_inputs(std::span<const u32> tokens, const Rows& embeddings) const;
  Rows run(std::span<const u32> tokens, bool keep);

  std::shared_ptr<const PublicModel> model_;
  std::vector<Layer> layers_;
  std::vector<float> next_gain_;              ///< of the norm behind them, if it is not folded
  std::unique_ptr<const PerLayer> per_layer_; ///< null: the model has no per-layer inputs
  model::RopeTables ropes_;
  std::size_t length_ = 0;
};

} // namespace talaria::audit
