#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "actors/enclave/micro_batch.hpp"
#include "actors/worker/product_engine.hpp"
#include "core/progress.hpp"
#include "kv/layout.hpp"
#include "model/latent_heads.hpp"
#include "model/mixture.hpp"
#include "model/per_layer_inputs.hpp"
#include "model/rope_tables.hpp"
#include "model/weights/quantized.hpp"
#include "pipeline/model_loader.hpp"
#include "remo/masking_scheme.hpp"

namespace talaria::pipeline {

/// @throws Error{config} for a model that makes no tokens, has no weights at hand, or whose state
/// cannot go back behind a wrong guess.
void check_draft_model(const ModelLoader& loader);

/// A model that guesses tokens, as a whole inside the enclave: its matrices are multiplied here, in
/// plain int8 (remo::SchemeKind::plain), and nothing of it is ever sent. Plan, weights, kernels and
/// attention are those of the stages; rows pass all layers in one call, since there is no wire to
/// wait for between two of them. One thread calls it at a time.
///
/// It only guesses (docs/adr/0029-drafts-of-a-model.md): none of its bits is in any answer.
class DraftModel {
public:
  /// Loads and quantises every matrix.
  /// @param threads  that share a product, >= 1
  /// @throws Error{config} as check_draft_model() does; Error{model} as the loader does.
  DraftModel(std::shared_ptr<const ModelLoader> loader, std::size_t threads, kv::Format format,
             Progress& progress);
  ~DraftModel();
  DraftModel(const DraftModel&) = delete;
  DraftModel& operator=(const DraftModel&) = delete;

  const ModelLoader& loader() const noexcept { return *loader_; }
  const arch::ModelPlan& plan() const noexcept { return loader_->plan(); }
  /// Of the keys and values that segments come with.
  std::shared_ptr<const kv::Layout> layout() const noexcept { return layout_; }
  /// Matrices and embeddings.
  std::size_t weight_bytes() const;

  /// Passes rows through all layers, so that their keys and values are in the blocks of their
  /// segments. A token that the model has no row for passes as token 0.
  void read(const enclave::MicroBatch& batch);
  /// The same; behind the last row of each segment, the likeliest of the tokens below `vocab`.
  std::vector<u32> guess(const enclave::MicroBatch& batch, u32 vocab);
  /// The sequence is over, or begins again.
  void forget(enclave::SequenceId sequence);

private:
  struct LayerParts;
  using ClearTensor = enclave::ClearTensor;

  void prepare_linears(std::size_t threads, Progress& progress);
  void make_layers(const model::EnclaveTensors& tensors);
  ClearTensor run(const enclave::MicroBatch& batch);
  ClearTensor embed(const model::EmbeddingTable& table, const enclave::MicroBatch& batch,
                    float multiplier) const;
  ClearTensor per_layer_inputs(const enclave::MicroBatch& batch, const ClearTensor& h);
  ClearTensor layer(LayerParts& parts, std::size_t index, const enclave::MicroBatch& batch,
                    const model::RowPositions& positions, ClearTensor h, const ClearTensor& inputs);
  ClearTensor heads_of(const LayerParts& parts, std::size_t index, const ClearTensor& x);
  ClearTensor feed_forward(const LayerParts& parts, std::size_t index, ClearTensor h);
  ClearTensor into_residual(const arch::Linear& linear, const std::optional<arch::Norm>& norm,
                            const std::vector<float>& gain, float scalar, const ClearTensor& x,
                            const ClearTensor& h);
  /// W x + bias, + residual unless that is null.
  ClearTensor product(const arch::Linear& linear, const ClearTensor& x,
                      const ClearTensor& residual = nullptr);

  std::shared_ptr<const ModelLoader> loader_;
  std::shared_ptr<const kv::Layout> layout_;
  std::shared_ptr<const model::EmbeddingTable> embeddings_;
  std::shared_ptr<const model::EmbeddingTable> per_layer_embeddings_; ///< null: none in the plan
  model::EnclaveTensors tensors_;
  model::RopeTables ropes_;
  std::unique_ptr<worker::ProductEngine> products_;
  std::vector<std::unique_ptr<remo::MaskedLinear>> linears_; ///< by LinearId
  std::vector<LayerParts> layers_;
  std::optional<model::PerLayerMixing> mixing_;
};

} // namespace talaria::pipeline
