#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/weights/safetensors.hpp"

namespace talaria::model {

struct PrivateFile;
class GgufModel;
class ModelFiles;

/// model.safetensors.index.json: which file holds which tensor.
struct WeightIndex {
  std::filesystem::path path; ///< for messages
  std::map<std::string, std::string> file_of;
  std::vector<std::string> files; ///< each once, by name
};
/// @throws Error{model} naming the file if it is malformed, or reaches outside its folder.
WeightIndex parse_weight_index(const PrivateFile& file);

inline constexpr const char* kSingleWeights = "model.safetensors";
inline constexpr const char* kWeightIndex = "model.safetensors.index.json";

/// @throws Error{model} for a folder with neither of both, saying what is understood.
[[noreturn]] void refuse_no_weights(const std::filesystem::path& folder);

/// @throws Error{model}: `index` names the file `name`, and it is not there.
[[noreturn]] void refuse_missing_shard(const WeightIndex& index, const std::string& name);

/// All tensors of a model: of model.safetensors, of the shards of model.safetensors.index.json, or
/// of a GGUF file.
class TensorStore {
public:
  /// Opens the files; what they hold is read when asked for, and not checked against anything. For
  /// workers, and for `prepare`.
  /// @throws Error{model} naming a missing shard, a tensor the index places in the wrong shard, or
  /// neither file present (and says which formats are understood).
  explicit TensorStore(const std::filesystem::path& model_dir);
  /// The tensors of files that were read already.
  /// @throws Error{model} as above.
  explicit TensorStore(const ModelFiles& files);
  /// Tensors that lie in memory which `memory` keeps alive; `source` stands for the folder in
  /// messages.
  TensorStore(std::string source, std::vector<TensorView> tensors,
              std::shared_ptr<const void> memory);

  /// @throws Error{model} if absent or not of exactly this shape (both shapes are named).
  const TensorView& get(const std::string& name, const std::vector<std::size_t>& shape) const;
  /// The same of a tensor of bytes (U8), which is no weight.
  const TensorView& get_bytes(const std::string& name, const std::vector<std::size_t>& shape) const;
  bool contains(const std::string& name) const;
  std::size_t total_bytes() const noexcept { return total_bytes_; }

private:
  using Files = std::map<std::string, std::shared_ptr<const SafetensorsFile>>;
  void take(Files files, const WeightIndex* index);
  void take(std::shared_ptr<const GgufModel> model);
  void add(const std::string& tensor, const TensorView& view);
  void place(const std::string& tensor, const std::string& file, const WeightIndex& index);

  std::string dir_; ///< for messages
  Files files_;     ///< by name
  std::shared_ptr<const GgufModel> gguf_;
  std::vector<TensorView> in_memory_;
  std::shared_ptr<const void> memory_;             ///< behind in_memory_
  std::map<std::string, const TensorView*> index_; ///< by canonical name
  std::map<std::string, std::string> other_dtypes_;
  std::map<std::string, const TensorView*> bytes_;
  std::size_t total_bytes_ = 0;
};

} // namespace talaria::model
