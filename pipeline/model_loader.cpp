#include "pipeline/model_loader.hpp"

#include <fmt/format.h>

#include "core/error.hpp"
#include "kernels/kernel_set.hpp"
#include "model/weights/plan_file.hpp"

namespace talaria::pipeline {

namespace {

/// Both halves of a prepared root must come from one run of prepare: what workers are compared with
/// stands in the enclave's manifest.
void check_halves(const model::Manifest& enclave, const model::Manifest& worker,
                  const std::filesystem::path& folder) {
  for (std::size_t i = 0; i < enclave.matrices.size(); ++i)
    if (i >= worker.matrices.size() || worker.matrices[i].digest != enclave.matrices[i].digest)
      throw Error(Errc::model,
                  fmt::format("{}: matrix {} has another SHA-256 in enclave/{} than in "
                              "worker/; prepare the model again",
                              folder.string(), enclave.matrices[i].name, model::kManifestFile));
}

} // namespace

ModelLoader::ModelLoader(const std::filesystem::path& model_dir, model::WeightFormat format,
                         const std::optional<Sha256Digest>& pinned, std::optional<model::Task> task)
    : format_(format) {
  const model::OpenedFolder opened = model::open_folder(model_dir);
  files_ = std::make_unique<const model::ModelFiles>(opened, pinned);
  if (!opened.published()) {
    open_prepared(opened);
  } else {
    plan_ = model::parse_model_plan(files_->texts());
    store_ = std::make_shared<const model::TensorStore>(*files_);
  }
  serve_for(task);
}

/// A folder that an earlier version prepared has the gain of the final norm nowhere but in lm_head.
void ModelLoader::serve_for(std::optional<model::Task> task) {
  pooling_ = model::pooling_for(task, files_->texts(), plan_);
  if (!pooling_) return;
  if (plan_.head == arch::Head::tokens) plan_.replace_head(arch::Head::none);
  const auto require = [this](const std::string& tensor, const char* advice) {
    if (enclave_ != nullptr && !store_->contains(tensor))
      throw Error(Errc::model, fmt::format("{}: the prepared folder has no {}, which task: {} "
                                           "needs; {}",
                                           files_->folder().string(), tensor,
                                           model::to_string(pooling_->task), advice));
  };
  require(plan_.final_norm.tensor, "prepare the model again: earlier versions did not keep it");
  if (!pooling_->words.empty())
    require(pooling_->words, "give the folder it was made from: what is prepared has no head");
}

void ModelLoader::open_prepared(const model::OpenedFolder& opened) {
  enclave_ = std::make_unique<const model::PreparedEnclave>(*files_);
  if (opened.kind == model::FolderKind::prepared_root) {
    worker_ = std::make_unique<const model::PreparedWorker>(opened);
    check_halves(enclave_->manifest(), worker_->manifest(), opened.folder);
  }
  plan_ = enclave_->plan();
  store_ = enclave_->tensors();
  if (enclave_->format() != format_)
    throw Error(Errc::usage,
                fmt::format("{} was prepared as {}; run with --weights {}", opened.folder.string(),
                            model::to_string(enclave_->format()),
                            model::to_string(enclave_->format())));
}

ModelLoader::ModelLoader(arch::ModelPlan plan, std::shared_ptr<const model::TensorStore> tensors,
                         model::WeightFormat format)
    : plan_(std::move(plan)), format_(format), store_(std::move(tensors)) {}

model::QuantizedLinear ModelLoader::load(model::LinearId id) const {
  if (enclave_ == nullptr) return model::load_linear(*store_, plan_.linears.at(id), format_);
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
  if (!embeddings_) embeddings_ = std::make_shared<const model::EmbeddingTable>(*store_, plan_);
  return embeddings_;
}

std::shared_ptr<const model::EmbeddingTable> ModelLoader::per_layer_embeddings() const {
  const auto& inputs = plan_.per_layer_inputs;
  if (!inputs) return nullptr;
  const std::lock_guard lock(embeddings_mutex_);
  if (!per_layer_embeddings_)
    per_layer_embeddings_ = std::make_shared<const model::EmbeddingTable>(
        *store_, inputs->table, inputs->tokens, plan_.layers.size() * inputs->width);
  return per_layer_embeddings_;
}

void ModelLoader::for_each_linear(Progress& progress,
                                  const std::function<void(model::QuantizedLinear)>& take) const {
  std::size_t total = 0;
  for (const arch::Linear& linear : plan_.linears) total += linear.d_in * linear.d_out;
  progress.begin("weights", total);
  for (const arch::Linear& linear : plan_.linears) {
    take(load(linear.id));
    progress.advance(linear.d_in * linear.d_out);
  }
  progress.end();
}

LinearFigures figures_of(const arch::ModelPlan& plan, const model::QuantizedLinear& linear) {
  LinearFigures f;
  f.name = plan.linears.at(linear.id).name;
  f.d_in = linear.d_in;
  f.d_out = linear.d_out;
  f.columns = linear.columns.d_out();
  f.weight_bytes = linear.d_in * f.columns;
  f.max_column_norm = kernels::max_column_norm(linear.columns);
  return f;
}

} // namespace talaria::pipeline
