#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/digest.hpp"
#include "core/locked_memory.hpp"
#include "kernels/packed_weights.hpp"
#include "model/weights/model_config.hpp"
#include "model/weights/safetensors.hpp"
#include "model/weights/tensor_store.hpp"

namespace talaria::model {

/// The linear layers a worker holds. q, k, v are one matrix (columns in that order), gate and up
/// are one.
enum class LinearKind : u8 { qkv, o, gate_up, down, lm_head };

/// Names one outsourced matrix of a model: `layer * 4 + kind` for the first four kinds,
/// `layers * 4` for the head. The same number on both sides of the wire.
struct LinearId {
  u32 value = 0;
  friend auto operator<=>(const LinearId&, const LinearId&) = default;
};
LinearId linear_id(const ModelConfig& config, u32 layer, LinearKind kind);
u32 linear_count(const ModelConfig& config); ///< layers * 4 + 1
LinearKind linear_kind(const ModelConfig& config, LinearId id);
u32 linear_layer(const ModelConfig& config, LinearId id); ///< 0 for lm_head
/// "layers.3.gate_up" or "lm_head": for logs and errors.
std::string linear_name(const ModelConfig& config, LinearId id);
/// Inputs and outputs of the matrix (outputs of the model, not column sets).
std::size_t linear_inputs(const ModelConfig& config, LinearKind kind);
std::size_t linear_outputs(const ModelConfig& config, LinearKind kind);

enum class WeightFormat : u8 { int8, int16 };
const char* to_string(WeightFormat format) noexcept;
/// @throws Error{usage}
WeightFormat parse_weight_format(std::string_view text);

/// One linear layer quantised symmetrically per output channel, the gain of the norm before it
/// folded in:
///   int8    W[i][j] ~ scale[j] q[i][j],                    q in [-127, 127], columns = d_out
///   int16   W[i][j] ~ scale[j] (256 hi[i][j] + lo[i][j]),  in [-32639, 32639], hi and lo int8:
///           two column sets on the same input, columns = 2 d_out: all hi, then all lo.
/// scale[j] = max_i |W[i][j]| / 127 (or / 32639); a zero column has scale 0.
struct QuantizedLinear {
  LinearId id;
  WeightFormat format = WeightFormat::int8;
  std::size_t d_in = 0;
  std::size_t d_out = 0;
  kernels::PackedWeights columns; ///< [d_in, d_out] or [d_in, 2 d_out]
  std::vector<float> scale;       ///< [d_out]
};

/// Reads and quantises matrix `id`. Deterministic: enclave and worker get the same bits.
/// @throws Error{model} for missing tensors, wrong shapes, NaN or infinity (tensor and element
/// named).
QuantizedLinear load_linear(const TensorStore& store, const ModelConfig& config, LinearId id,
                            WeightFormat format);

/// SHA-256 over the id, format, shape and packed weights: what both sides compare before they work
/// together.
Sha256Digest digest(const QuantizedLinear& linear);

/// What stays in the enclave besides hints.
struct EnclaveTensors {
  std::vector<float> q_norm; ///< per layer [layers][head_dim], empty without qk_norm
  std::vector<float> k_norm;
  std::vector<std::vector<float>> bias; ///< by LinearId: [d_out] or empty (qkv concatenated)
};
EnclaveTensors load_enclave_tensors(const TensorStore& store, const ModelConfig& config);

/// The embedding matrix in private, locked memory: one row behind the other in the type it is
/// stored in, with 64 readable bytes behind the last. Nothing of the model's files is looked at
/// after it was made, so neither a changed file nor a trace of the disk has to do with what is
/// looked up.
class EmbeddingTable {
public:
  /// @throws Error{model} for a missing tensor, a wrong shape, NaN or infinity (element named).
  EmbeddingTable(const TensorStore& store, const ModelConfig& config);
  /// Row `token` < vocab as fp32, out: [hidden].
  void lookup(u32 token, std::span<float> out) const;

  std::size_t rows() const noexcept { return rows_; } ///< the vocabulary
  std::size_t hidden() const noexcept { return hidden_; }
  Dtype dtype() const noexcept { return dtype_; }
  /// From one row to the next; row i begins at bytes()[i * row_bytes()].
  std::size_t row_bytes() const noexcept { return hidden_ * element_bytes(dtype_); }
  std::span<const u8> bytes() const noexcept { return table_; } ///< begins on a page

private:
  std::span<const u8> table_;
  std::shared_ptr<const void> memory_; ///< behind table_: a LockedBuffer
  Dtype dtype_ = Dtype::f32;
  std::size_t rows_;
  std::size_t hidden_;
};

} // namespace talaria::model
