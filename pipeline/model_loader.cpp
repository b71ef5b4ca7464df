#include "pipeline/model_loader.hpp"

#include <fmt/format.h>

#include "core/error.hpp"

namespace talaria::pipeline {

namespace {

/// Both halves of a prepared root must come from one run of prepare: what workers are compared with
/// stands in the enclave's manifest.
void check_halves(const model::Manifest& enclave, const model::Manifest& worker,
                  const std::filesystem::path& folder) {
  for (std::size_t i = 0; i < enclave.matrices.size(); ++i)
    if (i >= worker.matrices.size() || worker.matrices[i].digest != enclave.matrices[i].digest)
      throw Error(Errc::model, fmt::format("{}: matrix {} has another SHA-256 in enclave/{} than in "
                                           "worker/; prepare the model again",
                                           folder.string(), enclave.matrices[i].name,
                                           model::kManifestFile));
}

} // namespace

ModelLoader::ModelLoader(const std::filesystem::path& model_dir, model::WeightFormat format,
                         const std::optional<Sha256Digest>& pinned)
    : format_(format) {
  const model::OpenedFolder opened = model::open_folder(model_dir);
  files_ = std::make_unique<const model::ModelFiles>(opened, pinned);
  if (opened.kind != model::FolderKind::hugging_face) {
    open_prepared(opened);
  } else {
    config_ = model::parse_model_config(files_->texts().get("config.json"));
    store_ = std::make_shared<const model::TensorStore>(*files_);
  }
}

void ModelLoader::open_prepared(const model::OpenedFolder& opened) {
  enclave_ = std::make_unique<const model::PreparedEnclave>(*files_);
  if (opened.kind == model::FolderKind::prepared_root) {
    worker_ = std::make_unique<const model::PreparedWorker>(opened);
    check_halves(enclave_->manifest(), worker_->manifest(), opened.folder);
  }
  config_ = enclave_->config();
  store_ = enclave_->tensors();
  if (enclave_->format() != format_)
    throw Error(Errc::usage, fmt::format("{} was prepared as {}; run with --weights {}",
                                         opened.folder.string(),
                                         model::to_string(enclave_->format()),
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
                            files_->folder().string()));
  model::QuantizedLinear linear = worker_->load(id);
  linear.scale = enclave_->scale(id);
  return linear;
}

std::optional<Sha256Digest> ModelLoader::known_digest(model::LinearId id) const {
  if (enclave_ == nullptr) return std::nullopt;
  return enclave_->digest(id);
}

std::shared_ptr<const model::EmbeddingTable> ModelLoader::embeddings() const {
  const std::lock_guard lock(embeddings_mutex_);
  if (!embeddings_) embeddings_ = std::make_shared<const model::EmbeddingTable>(*store_, config_);
  return embeddings_;
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
