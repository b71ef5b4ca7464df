#pragma once

#include <array>
#include <filesystem>
#include <string>

namespace talaria::tests {

inline const std::filesystem::path kSource = TALARIA_SOURCE_DIR;
inline const std::filesystem::path kReferences = kSource / "tests" / "data" / "references";

/// The five models every exactness promise is tested on.
inline constexpr std::array<const char*, 5> kModels{"talaria-tiny", "llama3", "mistral", "qwen2",
                                                    "qwen3"};

/// The families that are values of the plan, beside those of kModels.
inline constexpr std::array<const char*, 24> kFamilies{
    "gpt_oss",     "gpt_oss_mxfp4", "deepseek_v2", "deepseek_v3", "mixtral",       "qwen2_moe",
    "qwen3_moe",   "olmoe",         "smollm3",     "phi3",        "olmo2",         "olmo3",
    "gemma2",      "gemma3",        "ministral3",  "llama_yarn",  "llama_dynamic", "llama_linear",
    "llama_rope5", "granite",       "glm4",        "qwen3_5",     "gemma4_31b",    "gemma4_e"};

inline std::filesystem::path model_folder(const std::string& name) {
  if (name == "talaria-tiny") return kSource / "models" / name;
  return kSource / "tests" / "data" / "conformance" / name;
}

} // namespace talaria::tests
