#pragma once

#include <filesystem>

#include "arch/model_plan.hpp"
#include "model/weights/private_file.hpp"

namespace talaria::model {

/// What a config.json says. @throws Error{model}, see arch::parse_model_plan.
arch::ModelPlan parse_model_plan(const PrivateFile& file);

/// The same for MODEL_DIR/config.json, or for what the metadata of a GGUF file say.
arch::ModelPlan load_model_plan(const std::filesystem::path& model_dir);

} // namespace talaria::model
