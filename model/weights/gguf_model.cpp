#include "model/weights/gguf_model.hpp"

#include <fmt/format.h>

#include <utility>

#include "arch/json_fields.hpp"
#include "core/error.hpp"
#include "model/weights/gguf_config.hpp"
#include "model/weights/gguf_tokenizer.hpp"
#include "model/weights/model_files.hpp"

namespace talaria::model {

namespace fs = std::filesystem;

namespace {

std::vector<std::shared_ptr<const GgufFile>> open_parts(const fs::path& path) {
  std::vector<std::shared_ptr<const GgufFile>> out;
  for (const fs::path& part : gguf_parts(path))
    out.push_back(std::make_shared<const GgufFile>(GgufFile::open(part)));
  return out;
}

PrivateFile made(const fs::path& model, const char* name, std::string text) {
  PrivateFile out;
  out.path = model / name;
  out.text = std::move(text);
  out.digest = sha256({reinterpret_cast<const u8*>(out.text.data()), out.text.size()});
  return out;
}

constexpr std::size_t kMaxFactors = 4096; ///< of a head
constexpr std::size_t kMaxExperts = 4096;

} // namespace

GgufModel::GgufModel(const fs::path& path) : GgufModel(open_parts(path)) {}

GgufModel::GgufModel(std::vector<std::shared_ptr<const GgufFile>> parts)
    : parts_(std::move(parts)) {
  check_split();
  const GgufFields fields(metadata(), path().string());
  GgufTensors known;
  std::map<std::string, std::pair<const GgufFile*, const GgufTensor*>> place;
  for (const auto& part : parts_)
    for (const GgufTensor& tensor : part->header().tensors) {
      if (!place.try_emplace(tensor.name, part.get(), &tensor).second)
        throw Error(Errc::model, fmt::format("{}: tensor {} is in another part as well",
                                             part->path().string(), printable(tensor.name)));
      known.shapes.emplace(tensor.name, tensor.shape);
    }
  known.values = [&](const std::string& name) {
    const auto at = place.find(name);
    if (at == place.end() || at->second.second->shape.size() != 1 ||
        at->second.second->shape[0] > kMaxFactors)
      throw Error(Errc::model, fmt::format("{}: tensor {} is missing or no vector of up to {} "
                                           "numbers",
                                           path().string(), name, kMaxFactors));
    std::vector<float> out(at->second.second->shape[0]);
    at->second.first->view(*at->second.second).read(0, out);
    return out;
  };
  config_ = made(path(), "config.json", gguf_config(fields, known));
  for (const auto& [name, at] : place) {
    const auto& [file, tensor] = at;
    const GgufTarget target = gguf_target(fields, name);
    if (target.name.empty()) continue;
    if (target.head_rows != 0 &&
        (target.head_rows % 2 != 0 || tensor->shape[0] % target.head_rows != 0))
      throw Error(Errc::model, fmt::format("{}: tensor {} has {} rows, which are no heads of {}",
                                           file->path().string(), printable(name), tensor->shape[0],
                                           target.head_rows));
    add(target, file->view(*tensor, target.head_rows));
  }
}

void GgufModel::add(const GgufTarget& target, TensorView view) {
  const auto put = [this](const std::string& name, const TensorView& part) {
    if (!tensors_.try_emplace(name, part).second)
      throw Error(Errc::model, fmt::format("{}: tensor {} is there under two names", part.file,
                                           printable(part.name)));
  };
  if (target.one_row && view.shape.size() == 1) view.shape.insert(view.shape.begin(), 1);
  if (target.channels && view.shape.size() == 2) view.shape.insert(view.shape.begin() + 1, 1);
  if (!target.experts) return put(target.name, view);
  const bool bias = target.name.ends_with(".bias");
  if (view.shape.size() != (bias ? 2 : 3) || view.shape[0] > kMaxExperts)
    throw Error(Errc::model,
                fmt::format("{}: tensor {} has {} dimensions; expected {} of up to {} experts",
                            view.file, printable(view.name), view.shape.size(),
                            bias ? "vectors" : "matrices", kMaxExperts));
  const std::size_t experts = view.shape[0];
  view.shape.erase(view.shape.begin());
  const u64 bytes = view.rows ? u64{view.shape[0]} * view.rows->row_bytes() : view.size_bytes();
  const auto at = target.name.find("{}");
  for (std::size_t e = 0; e < experts; ++e, view.offset += bytes)
    put(std::string(target.name).replace(at, 2, std::to_string(e)), view);
}

/// File names say how many parts there are; the parts have to agree.
void GgufModel::check_split() const {
  u64 tensors = 0;
  for (const auto& part : parts_) tensors += part->header().tensors.size();
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const GgufFields fields(parts_[i]->header().metadata, parts_[i]->path().string());
    const u64 count = fields.integer("split.count").value_or(1);
    if (count != parts_.size() && !(count == 0 && parts_.size() == 1))
      fields.refuse("split.count",
                    fmt::format("{}, as the names of the files say (a part of a split model keeps "
                                "its name, -00001-of-0000N.gguf)",
                                parts_.size()));
    if (parts_.size() == 1) continue;
    if (fields.required_integer("split.no") != i)
      fields.refuse("split.no", fmt::format("{}, as the name of the file says", i));
    if (fields.integer("split.tensors.count").value_or(tensors) != tensors)
      fields.refuse("split.tensors.count", fmt::format("{}, which the parts have", tensors));
  }
}

namespace {

/// As sentence-transformers say it; empty: nothing is said. llama.cpp makes vectors of length 1.
std::string pooling_config(const GgufFields& fields) {
  const auto architecture = fields.text("general.architecture");
  if (!architecture) return {};
  const std::string key = *architecture + ".pooling_type";
  const char* const ways[] = {"", "mean", "cls", "lasttoken", "rank"};
  const u64 type = fields.integer(key).value_or(0);
  if (type >= std::size(ways)) fields.refuse(key, "1 (mean) or 3 (last)");
  return type == 0 ? std::string() : fmt::format(R"({{"pooling_mode": "{}"}})", ways[type]);
}

constexpr const char* kEmbeddingModules =
    R"([{"type": "Transformer", "path": ""}, {"type": "Pooling", "path": "1_Pooling"},)"
    R"( {"type": "Normalize", "path": "2_Normalize"}])";

} // namespace

TextFiles GgufModel::texts() const {
  const GgufFields fields(metadata(), path().string());
  GgufTokenizer tokenizer = gguf_tokenizer(fields);
  TextFiles out(path());
  out.add("config.json", config_);
  out.add("tokenizer.json", made(path(), "tokenizer.json", std::move(tokenizer.tokenizer)));
  out.add("tokenizer_config.json",
          made(path(), "tokenizer_config.json", std::move(tokenizer.tokenizer_config)));
  if (std::string pooling = pooling_config(fields); !pooling.empty()) {
    out.add("modules.json", made(path(), "modules.json", kEmbeddingModules));
    out.add(std::string(kPoolingFile), made(path(), "1_Pooling/config.json", std::move(pooling)));
  }
  return out;
}

TextFiles model_texts(const fs::path& model) {
  return names_gguf(model) ? GgufModel(model).texts() : TextFiles(model, kTextFiles);
}

} // namespace talaria::model
