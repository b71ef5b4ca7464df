#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "actors/worker/product_engine.hpp"
#include "core/progress.hpp"
#include "core/random.hpp"
#include "model/weights/model_files.hpp"
#include "model/weights/pooling.hpp"
#include "model/weights/prepared.hpp"
#include "model/weights/quantized.hpp"
#include "remo/masking_scheme.hpp"

namespace talaria::pipeline {

/// Figures of one outsourced matrix, for `inspect` and the account of a run.
struct LinearFigures {
  std::string name;
  std::size_t d_in = 0;
  std::size_t d_out = 0;
  std::size_t columns = 0;      ///< on the worker: d_out, or 2 d_out for int16
  std::size_t weight_bytes = 0; ///< on the worker
  double max_column_norm = 0;
};

/// A model folder or GGUF file, opened: what stays in the enclave, and the linear layers one at a
/// time if it has them. Reads a Hugging Face folder, a GGUF file and the folders of `talaria
/// prepare`.
class ModelLoader {
public:
  /// Reads the folder (model::ModelFiles). `pinned`: what files()->root() has to be.
  /// @throws Error{model} as the readers do; Error{usage} if a prepared folder holds another
  /// format, or the model is not made for `task` (model::pooling_for).
  ModelLoader(const std::filesystem::path& model_dir, model::WeightFormat format,
              const std::optional<Sha256Digest>& pinned = std::nullopt,
              std::optional<model::Task> task = std::nullopt);
  /// A model that lies in memory (model::synthetic_tensors): weights, and no text.
  ModelLoader(arch::ModelPlan plan, std::shared_ptr<const model::TensorStore> tensors,
              model::WeightFormat format);

  /// What was read: tokenizer, template and so on come from here. nullptr for a model in memory.
  const model::ModelFiles* files() const noexcept { return files_.get(); }
  const arch::ModelPlan& plan() const noexcept { return plan_; }
  /// What it is served for, if that is not to generate. Then plan() has no lm_head.
  const std::optional<model::Pooling>& pooling() const noexcept { return pooling_; }
  const model::TensorStore& tensors() const noexcept { return *store_; }
  /// Made when it is asked for the first time, and shared by all engines of this model.
  std::shared_ptr<const model::EmbeddingTable> embeddings() const;
  /// The table of arch::PerLayerInputs, likewise; nullptr if the model has none.
  std::shared_ptr<const model::EmbeddingTable> per_layer_embeddings() const;
  model::WeightFormat format() const noexcept { return format_; }

  /// False for the enclave's half of a prepared model: only workers have the weights.
  bool has_weights() const noexcept { return enclave_ == nullptr || worker_ != nullptr; }
  /// Matrix `id` with its scales. @throws Error{model}; Error{usage} without weights.
  model::QuantizedLinear load(model::LinearId id) const;
  /// The scales alone, and what model::digest() gives: known without the weights if the folder was
  /// prepared.
  std::vector<float> scale(model::LinearId id) const { return enclave_->scale(id); }
  std::optional<Sha256Digest> known_digest(model::LinearId id) const;

  /// Quantises every matrix, in the order of LinearId, and hands each to `take`.
  void for_each_linear(Progress& progress,
                       const std::function<void(model::QuantizedLinear)>& take) const;

private:
  void open_prepared(const model::OpenedFolder& opened);
  void serve_for(std::optional<model::Task> task);

  std::unique_ptr<const model::ModelFiles> files_;
  arch::ModelPlan plan_;
  std::optional<model::Pooling> pooling_;
  model::WeightFormat format_;
  std::shared_ptr<const model::TensorStore> store_;
  std::unique_ptr<const model::PreparedEnclave> enclave_; ///< null: a Hugging Face folder
  std::unique_ptr<const model::PreparedWorker> worker_;
  mutable std::mutex embeddings_mutex_;
  mutable std::shared_ptr<const model::EmbeddingTable> embeddings_;
  mutable std::shared_ptr<const model::EmbeddingTable> per_layer_embeddings_;
};

/// The figures of a quantised matrix.
LinearFigures figures_of(const arch::ModelPlan& plan, const model::QuantizedLinear& linear);

} // namespace talaria::pipeline
