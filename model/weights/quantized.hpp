#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "arch/model_plan.hpp"
#include "core/digest.hpp"
#include "core/locked_memory.hpp"
#include "kernels/packed_weights.hpp"
#include "model/weights/safetensors.hpp"
#include "model/weights/tensor_store.hpp"

namespace talaria::model {

using arch::LinearId;
using arch::LinearKind;

enum class WeightFormat : u8 { int8, int16 };
const char* to_string(WeightFormat format) noexcept;
/// @throws Error{usage}
WeightFormat parse_weight_format(std::string_view text);

/// One linear layer quantised symmetrically per output channel, the gain of the norm before it
/// folded in:
///   int8    W[i][j] ~ scale[j] q[i][j],                    q in [-127, 127], columns = d_out
///   int16   W[i][j] ~ scale[j] (256 hi[i][j] + lo[i][j]),  in [-32639, 32639], hi and lo int8:
///           two column sets on the same input, columns = 2 d_out: all hi, then all lo.
/// scale[j] = max_i |W[i][j]| / 127 (or / 32639, with Linear::binary_scales the next power of two
/// from there on), times the multiplier of the matrix; a zero column has scale 0.
struct QuantizedLinear {
  LinearId id;
  WeightFormat format = WeightFormat::int8;
  std::size_t d_in = 0;
  std::size_t d_out = 0;
  kernels::PackedWeights columns; ///< [d_in, d_out] or [d_in, 2 d_out]
  std::vector<float> scale;       ///< [d_out]
};

/// Column sets of a format: two for int16.
constexpr std::size_t column_sets(WeightFormat format) noexcept {
  return format == WeightFormat::int16 ? 2 : 1;
}
/// Columns of the matrix as a worker holds it.
inline std::size_t columns_of(const arch::Linear& linear, WeightFormat format) noexcept {
  return column_sets(format) * linear.d_out;
}
/// Its weights in bytes, padding apart.
inline std::size_t weight_bytes(const arch::Linear& linear, WeightFormat format) noexcept {
  return linear.d_in * columns_of(linear, format);
}

/// Reads and quantises matrix `id`. Deterministic: enclave and worker get the same bits.
/// @throws Error{model} for missing tensors, wrong shapes, NaN or infinity (tensor and element
/// named).
QuantizedLinear load_linear(const TensorStore& store, const arch::Linear& linear,
                            WeightFormat format);

/// SHA-256 over the id, format, shape and packed weights: what both sides compare before they work
/// together.
Sha256Digest digest(const QuantizedLinear& linear);

/// What a DeltaNet computes with between its matrices; empty in other layers.
struct DeltaTensors {
  std::vector<float> taps;  ///< [taps][channels], the newest row's last
  std::vector<float> decay; ///< [value_heads]: exp(A)
  std::vector<float> step;  ///< [value_heads]
  std::vector<float> gain;  ///< [value_head_dim]
};

/// A layer's part of arch::PerLayerInput; empty in other models.
struct PerLayerTensors {
  std::vector<float> gate;       ///< [width][hidden]
  std::vector<float> projection; ///< [hidden][width]
  std::vector<float> gain;       ///< [hidden]
};

/// Gains of the norms that a layer does not fold into a matrix, and its router; empty where there
/// is none.
struct LayerGains {
  std::vector<float> q, k; ///< [head_dim], or [heads * head_dim] and [kv_heads * head_dim]
  std::vector<float> attention_in, feed_forward_in; ///< [hidden], with ModelPlan::exact_weights
  std::vector<float> attention_out;                 ///< [hidden]
  std::vector<float> feed_forward_out;
  std::vector<float> router; ///< of a mixture: [routed experts][hidden], the norm's gain folded in
  std::vector<float> shared_gate; ///< [hidden], likewise; empty without a shared expert
  std::vector<float> router_bias; ///< [routed experts]
  std::vector<float> choice_bias;
  std::vector<float> down_bias; ///< [routed experts][hidden]
  std::vector<float> sinks;     ///< [heads]
  DeltaTensors delta;
  PerLayerTensors per_layer;
  float scalar = 1; ///< of the layer's output
};

/// What stays in the enclave besides hints.
struct EnclaveTensors {
  std::vector<LayerGains> gains;        ///< by layer
  std::vector<std::vector<float>> bias; ///< by LinearId: [d_out] or empty (qkv concatenated), with
                                        ///< the matrix's multiplier
  /// [hidden], with ModelPlan::exact_weights, or where lm_head is not, which it is folded into.
  std::vector<float> final_gain;
  std::vector<float> score;          ///< [hidden], with arch::Head::label
  std::vector<float> per_layer_gain; ///< arch::PerLayerInputs::norm, [width]; or empty
};
EnclaveTensors load_enclave_tensors(const TensorStore& store, const arch::ModelPlan& plan);

/// The embedding matrix, or the table of per-layer inputs, in private, locked memory: one row
/// behind the other in the type it is stored in, with 64 readable bytes behind the last. Nothing of
/// the model's files is looked at after it was made, so neither a changed file nor a trace of the
/// disk has to do with what is looked up.
class EmbeddingTable {
public:
  /// @throws Error{model} for a missing tensor, a wrong shape, NaN or infinity (element named).
  EmbeddingTable(const TensorStore& store, const arch::ModelPlan& plan);
  /// The tensor `name` [rows, width]. @throws Error{model} as above.
  EmbeddingTable(const TensorStore& store, const std::string& name, std::size_t rows,
                 std::size_t width);
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
