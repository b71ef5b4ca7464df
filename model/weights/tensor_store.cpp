#include "model/weights/tensor_store.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "arch/json_fields.hpp"
#include "core/error.hpp"
#include "model/weights/gguf_model.hpp"
#include "model/weights/model_files.hpp"
#include "model/weights/private_file.hpp"

namespace talaria::model {

using nlohmann::json;

namespace {

/// A shard is named by a bare file name: an index must not reach outside its folder, and a line
/// that lists files must have one meaning.
const std::string& shard_name(const json& value, const std::string& tensor,
                              const std::string& index) {
  static const std::string kNone;
  const std::string& name = value.is_string() ? value.get_ref<const std::string&>() : kNone;
  const bool plain = std::none_of(name.begin(), name.end(), [](char c) {
    return c == '/' || static_cast<unsigned char>(c) < 0x20;
  });
  if (name.empty() || !plain || name == "." || name == "..")
    throw Error(Errc::model,
                fmt::format("{}: weight_map places tensor \"{}\" in no plain file name", index,
                            printable(tensor)));
  return name;
}

} // namespace

WeightIndex parse_weight_index(const PrivateFile& file) {
  WeightIndex out;
  out.path = file.path;
  const std::string path = file.path.string();
  const json index = parse_json_object(file.text, path);
  const auto weight_map = index.find("weight_map");
  if (weight_map == index.end() || !weight_map->is_object() || weight_map->empty())
    throw Error(Errc::model, fmt::format("{}: weight_map is missing or empty", path));
  std::set<std::string> names;
  for (const auto& [tensor, value] : weight_map->items())
    names.insert(out.file_of[tensor] = shard_name(value, tensor, path));
  out.files.assign(names.begin(), names.end());
  return out;
}

void refuse_no_weights(const std::filesystem::path& dir) {
  const bool other =
      is_there(dir / "pytorch_model.bin") || is_there(dir / "pytorch_model.bin.index.json");
  throw Error(Errc::model,
              fmt::format("{}: holds neither {} nor {}; only safetensors weights are understood{}",
                          dir.string(), kSingleWeights, kWeightIndex,
                          other ? " (convert pytorch_model.bin first)" : ""));
}

void refuse_missing_shard(const WeightIndex& index, const std::string& name) {
  throw Error(Errc::model, fmt::format("{}: shard {} is missing from {}", index.path.string(),
                                       printable(name), index.path.parent_path().string()));
}

TensorStore::TensorStore(const std::filesystem::path& model_dir) : dir_(model_dir.string()) {
  if (names_gguf(model_dir)) {
    take(std::make_shared<const GgufModel>(model_dir));
    return;
  }
  Files files;
  const auto open = [&](const std::string& name) {
    files.emplace(name, std::make_shared<const SafetensorsFile>(model_dir / name));
  };
  if (is_there(model_dir / kSingleWeights)) {
    open(kSingleWeights);
    take(std::move(files), nullptr);
    return;
  }
  const auto text = read_private_file_if_there(model_dir / kWeightIndex);
  if (!text) refuse_no_weights(model_dir);
  const WeightIndex index = parse_weight_index(*text);
  for (const std::string& name : index.files) {
    if (!is_there(model_dir / name)) refuse_missing_shard(index, name);
    open(name);
  }
  take(std::move(files), &index);
}

TensorStore::TensorStore(const ModelFiles& files) : dir_(files.folder().string()) {
  if (files.gguf() != nullptr)
    take(files.gguf());
  else
    take(files.weights(), files.weight_index());
}

TensorStore::TensorStore(std::string source, std::vector<TensorView> tensors,
                         std::shared_ptr<const void> memory)
    : dir_(std::move(source)), in_memory_(std::move(tensors)), memory_(std::move(memory)) {
  for (const TensorView& view : in_memory_) {
    add(view.name, view);
    total_bytes_ += view.size_bytes();
  }
}

void TensorStore::add(const std::string& tensor, const TensorView& view) {
  const auto [at, is_new] = index_.emplace(canonical_name(tensor), &view);
  if (!is_new)
    throw Error(Errc::model, fmt::format("{}: tensors \"{}\" and \"{}\" are the same one of the "
                                         "decoder",
                                         dir_, printable(at->second->name), printable(tensor)));
}

void TensorStore::take(std::shared_ptr<const GgufModel> model) {
  gguf_ = std::move(model);
  for (const auto& [name, view] : gguf_->tensors()) {
    add(name, view);
    total_bytes_ += view.size_bytes();
  }
}

/// Without an index every tensor of the one file counts.
void TensorStore::take(Files files, const WeightIndex* index) {
  files_ = std::move(files);
  if (index == nullptr) {
    for (const auto& [name, file] : files_) {
      for (const auto& [tensor, view] : file->tensors()) add(tensor, view);
      other_dtypes_ = file->other_dtypes();
      for (const auto& [tensor, view] : file->byte_tensors()) bytes_.emplace(tensor, &view);
    }
  } else {
    for (const auto& [tensor, name] : index->file_of) place(tensor, name, *index);
  }
  for (const auto& [name, view] : index_) total_bytes_ += view->size_bytes();
}

void TensorStore::place(const std::string& tensor, const std::string& name,
                        const WeightIndex& index) {
  const SafetensorsFile& file = *files_.at(name);
  const auto at = file.tensors().find(tensor);
  const auto other = file.other_dtypes().find(tensor);
  if (at != file.tensors().end())
    add(tensor, at->second);
  else if (other != file.other_dtypes().end()) {
    other_dtypes_.insert(*other);
    const auto bytes = file.byte_tensors().find(tensor);
    if (bytes != file.byte_tensors().end()) bytes_.emplace(tensor, &bytes->second);
  } else
    throw Error(Errc::model,
                fmt::format("{}: tensor \"{}\" is not in {}, where the index places it",
                            index.path.string(), printable(tensor), printable(name)));
}

namespace {

/// What transformers 5 calls a tensor of Mixtral's mixture: the rest of the name is the same.
std::string newer_name(const std::string& name) {
  constexpr std::string_view kOlder = ".block_sparse_moe.";
  const auto at = name.find(kOlder);
  return at == std::string::npos ? name : std::string(name).replace(at, kOlder.size(), ".mlp.");
}

const TensorView& checked(const TensorView& view, const std::string& name,
                          const std::vector<std::size_t>& shape) {
  if (view.shape != shape)
    throw Error(Errc::model, fmt::format("{}: tensor {} has shape {}, config.json asks for {}",
                                         view.file, name, view.shape, shape));
  return view;
}

} // namespace

const TensorView& TensorStore::get(const std::string& name,
                                   const std::vector<std::size_t>& shape) const {
  auto at = index_.find(name);
  if (at == index_.end()) at = index_.find(newer_name(name));
  if (at == index_.end()) {
    const auto other = other_dtypes_.find(name);
    if (other != other_dtypes_.end())
      throw Error(Errc::model, fmt::format("{}: tensor {} is {}; weights must be BF16, F16 or F32",
                                           dir_, name, other->second));
    throw Error(Errc::model, fmt::format("{}: tensor {} is missing", dir_, name));
  }
  return checked(*at->second, name, shape);
}

const TensorView& TensorStore::get_bytes(const std::string& name,
                                         const std::vector<std::size_t>& shape) const {
  const auto at = bytes_.find(name);
  if (at == bytes_.end())
    throw Error(Errc::model, fmt::format("{}: tensor {} is missing, or not U8", dir_, name));
  return checked(*at->second, name, shape);
}

bool TensorStore::contains(const std::string& name) const {
  return index_.contains(name) || other_dtypes_.contains(name) || index_.contains(newer_name(name));
}

} // namespace talaria::model
