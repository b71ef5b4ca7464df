#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/weights/gguf.hpp"
#include "model/weights/gguf_config.hpp"
#include "model/weights/private_file.hpp"

namespace talaria::model {

/// A model in one GGUF file, or in the parts of a split one, seen as a model folder: the small
/// files that such a folder has, made of the metadata, and its tensors by the names that the plan
/// uses.
class GgufModel {
public:
  /// Opens `path` and the other parts. What they hold is read when asked for, and not checked
  /// against anything. For workers, and for `prepare`.
  /// @throws Error{model} naming file, and key or tensor.
  explicit GgufModel(const std::filesystem::path& path);
  /// Of files that are open: the parts in their order.
  explicit GgufModel(std::vector<std::shared_ptr<const GgufFile>> parts);

  /// config.json. Its path stands for the metadata in messages.
  const PrivateFile& config() const noexcept { return config_; }
  /// config.json, tokenizer.json and tokenizer_config.json.
  /// @throws Error{model} for a tokenizer that is not understood.
  TextFiles texts() const;
  /// By canonical name.
  const std::map<std::string, TensorView>& tensors() const noexcept { return tensors_; }

private:
  void check_split() const;
  void add(const GgufTarget& target, TensorView view);
  const GgufMetadata& metadata() const { return parts_.front()->header().metadata; }
  std::filesystem::path path() const { return parts_.front()->path(); }

  std::vector<std::shared_ptr<const GgufFile>> parts_;
  PrivateFile config_;
  std::map<std::string, TensorView> tensors_;
};

/// Those of kTextFiles that a model has, whether it is a folder or a GGUF file.
TextFiles model_texts(const std::filesystem::path& model);

} // namespace talaria::model
