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

/// The second matrix of latent attention, which files have in two since 2025: `keys` [heads, rank,
/// key_dim] is transposed, `values` [heads, value_dim, rank] is not. Of each head first the rows of
/// its keys, then those of its values, in fp32 and in memory.
TensorView join_heads(const TensorView& keys, const TensorView& values) {
  const bool fit = keys.shape.size() == 3 && values.shape.size() == 3 &&
                   keys.shape[0] == values.shape[0] && keys.shape[1] == values.shape[2];
  if (!fit)
    throw Error(Errc::model, fmt::format("{}: tensors {} and {} are no keys and values of the same "
                                         "heads",
                                         keys.file, printable(keys.name), printable(values.name)));
  const std::size_t heads = keys.shape[0];
  const std::size_t rank = keys.shape[1];
  const std::size_t key_dim = keys.shape[2];
  const std::size_t value_dim = values.shape[1];
  const auto memory = std::make_shared<std::vector<float>>(heads * (key_dim + value_dim) * rank);
  TensorReader key_reader(keys);
  TensorReader value_reader(values);
  std::vector<float> stored(rank * key_dim);
  float* out = memory->data();
  for (std::size_t head = 0; head < heads; ++head) {
    key_reader.read(head * stored.size(), stored);
    for (std::size_t k = 0; k < key_dim; ++k)
      for (std::size_t i = 0; i < rank; ++i) *out++ = stored[i * key_dim + k];
    value_reader.read(head * value_dim * rank, {out, value_dim * rank});
    out += value_dim * rank;
  }
  TensorView joined;
  joined.name = keys.name;
  joined.shape = {heads * (key_dim + value_dim), rank};
  joined.file = keys.file;
  joined.memory = memory;
  joined.bytes = {reinterpret_cast<const u8*>(memory->data()), memory->size() * sizeof(float)};
  return joined;
}

/// Both tensors of a layer give way to the one that published folders have. Files that hold all
/// three have it already.
void join_all_heads(std::map<std::string, TensorView>& tensors) {
  constexpr std::string_view kKeys = ".self_attn.k_b_proj.weight";
  std::vector<std::string> layers;
  for (const auto& [name, view] : tensors)
    if (name.ends_with(kKeys)) layers.push_back(name.substr(0, name.size() - kKeys.size()));
  for (const std::string& layer : layers) {
    const auto keys = tensors.extract(layer + std::string(kKeys));
    const auto values = tensors.extract(layer + ".self_attn.v_b_proj.weight");
    const std::string joined = layer + ".self_attn.kv_b_proj.weight";
    if (tensors.contains(joined)) continue;
    if (values.empty())
      throw Error(Errc::model, fmt::format("{}: tensor {} is there without its values (attn_v_b)",
                                           keys.mapped().file, printable(keys.mapped().name)));
    tensors.emplace(joined, join_heads(keys.mapped(), values.mapped()));
  }
}

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
  join_all_heads(tensors_);
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
