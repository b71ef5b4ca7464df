#pragma once

#include <filesystem>

#include "arch/model_plan.hpp"
#include "model/weights/private_file.hpp"

namespace talaria::model {

/// What a config.json says. @throws Error{model}, see arch::parse_model_plan.
arch::ModelPlan parse_model_plan(const PrivateFile& file);

/// What the small files of a folder say: the same, but without lm_head if there is a modules.json,
/// which makes it a model for embeddings.
arch::ModelPlan parse_model_plan(const TextFiles& texts);

/// The same for the files of MODEL_DIR, or for what the metadata of a GGUF file say.
arch::ModelPlan load_model_plan(const std::filesystem::path& model_dir);

} // namespace talaria::model
