#pragma once

#include <span>
#include <string>
#include <vector>

#include "model/weights/quantized.hpp"

namespace talaria::model {

/// A tensor that the enclave keeps as it is, besides the scales: name and shape.
struct KeptTensor {
  std::string name;
  std::vector<std::size_t> shape;
};

/// The embedding, the gains of norms, also of those that are folded into matrices, and biases, in
/// the order of the forward pass. The same list for reading, preparing and
/// inventing a model.
std::vector<KeptTensor> kept_tensors(const arch::ModelPlan& plan);

/// All elements of a one-dimensional tensor.
/// @throws Error{model} if one is NaN or infinite.
std::vector<float> read_vector(const TensorStore& store, const std::string& name,
                               std::size_t elements);

/// The gain of a norm: what the tensor holds, or 1 + that, in fp32.
/// @throws Error{model} if an element is NaN or infinite.
std::vector<float> read_gain(const TensorStore& store, const std::string& name, bool plus_one,
                             std::size_t elements);

/// @throws Error{model} naming the first of `values` that is NaN or infinite; values[0] is element
/// `first` of `tensor`.
void require_finite(std::span<const float> values, const TensorView& tensor, std::size_t first);

} // namespace talaria::model
