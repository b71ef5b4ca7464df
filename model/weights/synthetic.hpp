#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "arch/decoder_config.hpp"
#include "arch/model_plan.hpp"
#include "model/weights/tensor_store.hpp"

namespace talaria::model {

/// The shape of a published model by its name: llama-3.2-1b, llama-3.2-3b, llama-3-8b, llama-3-70b,
/// qwen2.5-0.5b, or tiny (that of the shipped model). `layers` > 0 keeps only so many.
/// @throws Error{usage} listing the names, or if the model has fewer layers.
arch::DecoderConfig shape_decoder(std::string_view name, u32 layers);
arch::ModelPlan shape_plan(std::string_view name, u32 layers);

/// "random:llama-3.2-1b/4", which stands for a model folder where random weights are wanted on both
/// sides of the wire: shape_plan(name, layers), all layers without a number.
/// Nothing for a path that does not begin so. @throws Error{usage} as shape_plan() does.
std::optional<arch::ModelPlan> random_model(const std::filesystem::path& path);
std::filesystem::path random_model_path(std::string_view name, u32 layers);

/// Random tensors for a plan, made in memory: uniform weights of a deviation that keeps
/// activations finite, gains of 1. For measurements: what such a model says means nothing.
/// All tensors overlap in one block as large as the largest of them, so a model takes the memory
/// of its embedding table. Equal for equal plans.
std::shared_ptr<const TensorStore> synthetic_tensors(const arch::ModelPlan& plan);

} // namespace talaria::model
