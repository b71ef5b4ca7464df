#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "arch/model_plan.hpp"
#include "model/weights/manifest.hpp"
#include "model/weights/model_files.hpp"
#include "model/weights/model_folder.hpp"
#include "model/weights/quantized.hpp"
#include "model/weights/safetensors.hpp"

namespace talaria::model {

/// The worker's half of a prepared model: int8 matrices, one file per layer. Only the files of the
/// layers that are loaded need to be there. Const methods may run on several threads at once.
class PreparedWorker {
public:
  /// Opens OUT/worker or OUT. Reads no weights.
  /// @throws Error{model} naming file and field if manifest or config.json is damaged or they
  /// disagree.
  explicit PreparedWorker(const std::filesystem::path& folder);
  explicit PreparedWorker(const OpenedFolder& opened);

  const arch::ModelPlan& plan() const noexcept { return plan_; }
  const Manifest& manifest() const noexcept { return manifest_; }
  WeightFormat format() const noexcept { return manifest_.weights; }
  /// SHA-256 of manifest.json.
  const Sha256Digest& root() const noexcept { return root_; }

  /// Matrix `id`, packed, `scale` empty; the bits of load_linear().
  /// @throws Error{model} naming file and matrix if it is missing, truncated, or its digest is not
  /// the manifest's.
  QuantizedLinear load(LinearId id) const;

private:
  std::filesystem::path folder_;
  Sha256Digest root_{};
  Manifest manifest_;
  arch::ModelPlan plan_;
};

/// The enclave's half of a prepared model: everything but the weight matrices.
class PreparedEnclave {
public:
  /// Reads OUT/enclave or OUT and compares every file with the manifest.
  /// @throws Error{model} naming the file (and field) that is missing, damaged or inconsistent.
  explicit PreparedEnclave(const std::filesystem::path& folder);
  /// From files that were read already, of a prepared folder.
  explicit PreparedEnclave(const ModelFiles& files);

  const arch::ModelPlan& plan() const noexcept { return plan_; }
  const Manifest& manifest() const noexcept { return manifest_; }
  WeightFormat format() const noexcept { return manifest_.weights; }

  /// For load_enclave_tensors() and EmbeddingTable.
  std::shared_ptr<const TensorStore> tensors() const noexcept { return store_; }
  /// QuantizedLinear::scale of matrix `id`: [d_out]. @throws Error{model}
  std::vector<float> scale(LinearId id) const;
  /// What model::digest() gives for the worker's matrix `id`.
  const Sha256Digest& digest(LinearId id) const { return manifest_.matrices.at(id.value).digest; }

private:
  Manifest manifest_;
  arch::ModelPlan plan_;
  std::shared_ptr<const TensorStore> store_;
};

/// "layers.3.qkv.scale": the tensor of enclave.safetensors with the scales of a matrix.
std::string scale_tensor(const arch::Linear& linear);

/// "layer-00003.safetensors" or "lm_head.safetensors": the file of worker/ that holds a matrix.
std::string weight_file(const arch::Linear& linear);

} // namespace talaria::model
