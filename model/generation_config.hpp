#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "core/integers.hpp"

namespace talaria::model {

class TextFiles;

/// Sampling defaults a model's author ships in generation_config.json. The file may be absent; a
/// field may be.
struct GenerationConfig {
  std::optional<bool> do_sample;
  std::optional<float> temperature;
  std::optional<float> top_p;
  std::optional<u32> top_k;
  std::optional<float> repetition_penalty;
  std::optional<u32> bos;
  std::vector<u32> eos;
};

/// @throws Error{model} for a damaged file or a field of the wrong type or range.
GenerationConfig load_generation_config(const std::filesystem::path& model_dir);
/// The same from files that were read already.
GenerationConfig load_generation_config(const TextFiles& files);

} // namespace talaria::model
