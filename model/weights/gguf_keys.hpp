#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "model/weights/gguf_config.hpp"

// What the architectures of GGUF files have in common when their metadata become a config.json.
namespace talaria::model::gguf {

/// "ARCHITECTURE.name". @throws Error{model} if the file does not name its architecture.
std::string key_of(const GgufFields& fields, std::string_view name);
/// The value of the key as `as`; nothing if the key is absent.
void add_number(const GgufFields& fields, std::string_view name, const char* as,
                nlohmann::json& config);
/// `attention.key_length`, or hidden / heads. @throws Error{model} for a file without heads.
u64 head_dim_of(const GgufFields& fields);
/// Blocks without those that predict several tokens ahead, which are not computed here.
u64 layers_of(const GgufFields& fields);
/// One whole number for each layer, of a key that holds one or a list of them.
/// @throws Error{model} if it is missing or of another length.
std::vector<u64> by_layer(const GgufFields& fields, std::string_view name);
/// `sliding_window`: null for 0 or absent.
void add_window(const GgufFields& fields, nlohmann::json& config);
/// `layer_types`: a list of booleans, or every how manyth layer does not slide.
void add_pattern(const GgufFields& fields, u64 otherwise, nlohmann::json& config);
/// Rows of the (first) matrix blk.N.`kind`.weight with the lowest N, or of each of several.
/// @throws Error{model} if there is none.
std::size_t rows_of_first(const GgufFields& fields, const GgufTensors& tensors,
                          const std::string& kind);

// Architectures whose files hold something in another form than their published folders.
void add_mistral3(const GgufFields& fields, const GgufTensors& tensors, nlohmann::json& config);
void add_deepseek2(const GgufFields& fields, const GgufTensors& tensors, nlohmann::json& config);
void add_gemma4(const GgufFields& fields, const GgufTensors& tensors, nlohmann::json& config);

} // namespace talaria::model::gguf
