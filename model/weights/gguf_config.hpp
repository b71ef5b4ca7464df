#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/weights/gguf_fields.hpp"

namespace talaria::model {

/// The tensors of a model whose metadata are being read.
struct GgufTensors {
  /// Shapes by the names in the file.
  std::map<std::string, std::vector<std::size_t>, std::less<>> shapes;
  /// All values of a tensor of one dimension.
  std::function<std::vector<float>(const std::string& name)> values;

  bool has(const std::string& name) const { return shapes.find(name) != shapes.end(); }
};

/// The config.json that says what the metadata of a GGUF file say, for arch::parse_model_plan.
/// Where llama.cpp takes a value from its own code (the scale of Gemma's scores, SmolLM3's layers
/// without RoPE), so does this.
/// @throws Error{model} naming file and key for an architecture that is not known and for a value
/// that would make another model.
std::string gguf_config(const GgufFields& fields, const GgufTensors& tensors);

/// What a tensor of the file is called in the plan of its architecture.
struct GgufTarget {
  std::string name;          ///< "" for one that is not part of the network
  std::size_t head_rows = 0; ///< see GgufRows
  /// A tensor [experts, ...], of which each expert's part is a matrix: "{}" in `name` stands for
  /// the number of the expert.
  bool experts = false;
  bool one_row = false;  ///< a vector that the plan has as a matrix of one row
  bool channels = false; ///< a matrix that the plan has as [channels, 1, taps]
};
/// @throws Error{model} for a tensor that the architecture does not have.
GgufTarget gguf_target(const GgufFields& fields, const std::string& tensor);

/// Ids of tokens that end an answer: the metadata's, and those of control tokens that are known to.
std::vector<u32> gguf_ends(const GgufFields& fields);

} // namespace talaria::model
