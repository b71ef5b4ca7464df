#pragma once

#include <vector>

#include "model/weights/quantized.hpp"
#include "model/weights/tensor_names.hpp"

namespace talaria::model {

// What layers keep in the enclave besides gains: the tensors of a DeltaNet, of per-layer inputs,
// and the scalar of a layer.

/// @throws Error{model} for a missing tensor, a wrong shape, NaN or infinity, a decay whose
/// exponential overflows, or a bias of the convolution, which is not computed.
DeltaTensors load_delta_net(const TensorStore& store, const arch::DeltaNet& net);

/// @throws Error{model} for a missing tensor, a wrong shape, NaN or infinity.
PerLayerTensors load_per_layer(const TensorStore& store, const arch::Layer& layer,
                               const arch::ModelPlan& plan);

/// Appends the names and shapes of those that `layer` has.
void add_kept_of_mixers(const arch::Layer& layer, const arch::ModelPlan& plan,
                        std::vector<KeptTensor>& kept);

} // namespace talaria::model
