#pragma once

#include <span>
#include <string>
#include <vector>

#include "model/weights/quantized.hpp"

namespace talaria::model {

/// One Hugging Face tensor of a linear layer: `base` + ".weight" [rows, d_in], maybe `base` +
/// ".bias".
struct LinearPart {
  std::string base;
  std::size_t rows = 0;
};

/// The tensors whose rows, one after the other, are the outputs of `id`.
std::vector<LinearPart> linear_parts(const ModelConfig& config, LinearId id);

/// The RMSNorm gain that is folded into `id`; empty for o and down, which follow no norm.
std::string folded_gain(const ModelConfig& config, LinearId id);

/// Whether the layer adds a bias.
bool has_bias(const ModelConfig& config, LinearKind kind);

/// All elements of a one-dimensional tensor.
/// @throws Error{model} if one is NaN or infinite.
std::vector<float> read_vector(const TensorStore& store, const std::string& name,
                               std::size_t elements);

/// @throws Error{model} naming the first of `values` that is NaN or infinite; values[0] is element
/// `first` of `tensor`.
void require_finite(std::span<const float> values, const TensorView& tensor, std::size_t first);

} // namespace talaria::model
