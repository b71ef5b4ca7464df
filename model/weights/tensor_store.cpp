#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "core/error.hpp"
#include "model/weights/json_fields.hpp"
#include "model/weights/safetensors.hpp"

namespace talaria::model {

using nlohmann::json;

namespace {

constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";

/// A shard is named by a bare file name: an index must not reach outside its folder.
const std::string& shard_name(const json& value, const std::string& tensor,
                              const std::string& index) {
  static const std::string kNone;
  const std::string& name = value.is_string() ? value.get_ref<const std::string&>() : kNone;
  if (name.empty() || name.find('/') != std::string::npos || name.find('\0') != std::string::npos ||
      name == "." || name == "..")
    throw Error(Errc::model,
                fmt::format("{}: weight_map places tensor \"{}\" in no plain file name", index,
                            printable(tensor)));
  return name;
}

bool is_there(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

[[noreturn]] void no_weights(const std::filesystem::path& dir) {
  const bool other =
      is_there(dir / "pytorch_model.bin") || is_there(dir / "pytorch_model.bin.index.json");
  throw Error(Errc::model,
              fmt::format("{}: holds neither {} nor {}; only safetensors weights are understood{}",
                          dir.string(), kSingle, kIndex,
                          other ? " (convert pytorch_model.bin first)" : ""));
}

} // namespace

TensorStore::TensorStore(const std::filesystem::path& model_dir) : dir_(model_dir.string()) {
  if (is_there(model_dir / kSingle)) {
    files_.emplace_back(model_dir / kSingle);
    for (const auto& [name, view] : files_[0].tensors()) index_.emplace(name, &view);
    other_dtypes_ = files_[0].other_dtypes();
  } else if (is_there(model_dir / kIndex)) {
    load_shards(model_dir);
  } else {
    no_weights(model_dir);
  }
  for (const auto& [name, view] : index_) total_bytes_ += view->bytes.size();
}

TensorStore::TensorStore(std::string source, std::vector<TensorView> tensors,
                         std::shared_ptr<const void> memory)
    : dir_(std::move(source)), in_memory_(std::move(tensors)), memory_(std::move(memory)) {
  for (const TensorView& view : in_memory_) {
    index_.emplace(view.name, &view);
    total_bytes_ += view.bytes.size();
  }
}

void TensorStore::load_shards(const std::filesystem::path& model_dir) {
  const auto path = model_dir / kIndex;
  const json index = read_json_object(path);
  const auto weight_map = index.find("weight_map");
  if (weight_map == index.end() || !weight_map->is_object() || weight_map->empty())
    throw Error(Errc::model, fmt::format("{}: weight_map is missing or empty", path.string()));
  std::map<std::string, std::size_t> opened;
  for (const auto& [name, value] : weight_map->items()) {
    const std::string& shard = shard_name(value, name, path.string());
    if (opened.contains(shard)) continue;
    if (!is_there(model_dir / shard))
      throw Error(Errc::model, fmt::format("{}: shard {} is missing from {}", path.string(),
                                           printable(shard), dir_));
    opened.emplace(shard, files_.size());
    files_.emplace_back(model_dir / shard);
  }
  // Views are referred to only now that files_ has stopped growing.
  for (const auto& [name, value] : weight_map->items()) {
    const auto& shard = value.get_ref<const std::string&>();
    const SafetensorsFile& file = files_[opened.at(shard)];
    if (const auto at = file.tensors().find(name); at != file.tensors().end())
      index_.emplace(name, &at->second);
    else if (const auto other = file.other_dtypes().find(name); other != file.other_dtypes().end())
      other_dtypes_.insert(*other);
    else
      throw Error(Errc::model,
                  fmt::format("{}: tensor \"{}\" is not in {}, where the index places it",
                              path.string(), printable(name), printable(shard)));
  }
}

const TensorView& TensorStore::get(const std::string& name,
                                   const std::vector<std::size_t>& shape) const {
  const auto at = index_.find(name);
  if (at == index_.end()) {
    const auto other = other_dtypes_.find(name);
    if (other != other_dtypes_.end())
      throw Error(Errc::model, fmt::format("{}: tensor {} is {}; weights must be BF16, F16 or F32",
                                           dir_, name, other->second));
    throw Error(Errc::model, fmt::format("{}: tensor {} is missing", dir_, name));
  }
  if (at->second->shape != shape)
    throw Error(Errc::model, fmt::format("{}: tensor {} has shape {}, config.json asks for {}",
                                         at->second->file, name, at->second->shape, shape));
  return *at->second;
}

bool TensorStore::contains(const std::string& name) const {
  return index_.contains(name) || other_dtypes_.contains(name);
}

} // namespace talaria::model
