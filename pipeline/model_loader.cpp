#include "pipeline/model_loader.hpp"

#include <fmt/format.h>

#include "core/error.hpp"

namespace talaria::pipeline {

ModelLoader::ModelLoader(const std::filesystem::path& model_dir, model::WeightFormat format)
    : folder_(model_dir), format_(format) {
  const model::FolderKind kind = model::folder_kind(model_dir);
  if (kind == model::FolderKind::hugging_face) {
    config_ = model::load_model_config(model_dir);
    store_ = std::make_shared<const model::TensorStore>(model_dir);
    return;
  }
  folder_ = model::enclave_folder(model_dir);
  enclave_ = std::make_unique<const model::PreparedEnclave>(folder_);
  if (kind == model::FolderKind::prepared_root)
    worker_ = std::make_unique<const model::PreparedWorker>(model_dir);
  config_ = enclave_->config();
  store_ = enclave_->tensors();
  if (enclave_->format() != format)
    throw Error(Errc::usage, fmt::format("{} was prepared as {}; run with --weights {}",
                                         model_dir.string(), model::to_string(enclave_->format()),
                                         model::to_string(enclave_->format())));
}

ModelLoader::ModelLoader(model::ModelConfig config,
                         std::shared_ptr<const model::TensorStore> tensors,
                         model::WeightFormat format)
    : config_(std::move(config)), format_(format), store_(std::move(tensors)) {}

model::QuantizedLinear ModelLoader::load(model::LinearId id) const {
  if (enclave_ == nullptr) return model::load_linear(*store_, config_, id, format_);
  if (worker_ == nullptr)
    throw Error(Errc::usage,
                fmt::format("{} holds no weights: only the enclave's half of a prepared model; "
                            "name workers in --config, or give the folder that has both halves",
                            folder_.string()));
  model::QuantizedLinear linear = worker_->load(id);
  linear.scale = enclave_->scale(id);
  return linear;
}

std::optional<Sha256Digest> ModelLoader::known_digest(model::LinearId id) const {
  if (enclave_ == nullptr) return std::nullopt;
  return enclave_->digest(id);
}

std::size_t linear_bytes(const model::ModelConfig& config, model::LinearId id) {
  const auto kind = model::linear_kind(config, id);
  return model::linear_inputs(config, kind) * model::linear_outputs(config, kind);
}

void ModelLoader::for_each_linear(Progress& progress,
                                  const std::function<void(model::QuantizedLinear)>& take) const {
  const u32 count = model::linear_count(config_);
  std::size_t total = 0;
  for (u32 i = 0; i < count; ++i) total += linear_bytes(config_, {i});
  progress.begin("weights", total);
  for (u32 i = 0; i < count; ++i) {
    take(load({i}));
    progress.advance(linear_bytes(config_, {i}));
  }
  progress.end();
}

LinearFigures figures_of(const model::ModelConfig& config, const model::QuantizedLinear& linear) {
  LinearFigures f;
  f.name = model::linear_name(config, linear.id);
  f.d_in = linear.d_in;
  f.d_out = linear.d_out;
  f.columns = linear.columns.d_out();
  f.weight_bytes = linear.d_in * f.columns;
  f.max_column_norm = kernels::max_column_norm(linear.columns);
  return f;
}

} // namespace talaria::pipeline
