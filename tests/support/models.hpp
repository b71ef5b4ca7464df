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

inline std::filesystem::path model_folder(const std::string& name) {
  if (name == "talaria-tiny") return kSource / "models" / name;
  return kSource / "tests" / "data" / "conformance" / name;
}

} // namespace talaria::tests
