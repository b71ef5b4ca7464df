#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "arch/model_plan.hpp"
#include "core/digest.hpp"
#include "core/secret.hpp"
#include "model/weights/tensor_store.hpp"

namespace talaria::model {

/// Where one part of a matrix (arch::LinearPart) takes its inputs and puts its outputs.
struct PartPlace {
  std::size_t first_input = 0, inputs = 0;
  std::size_t first_output = 0, outputs = 0;
};
/// Of each part of `linear`, in their order.
std::vector<PartPlace> part_places(const arch::Linear& linear);

/// What an adapter adds to one part of a matrix, in fp32:
///   y[first_output ...] += B (scale A x[first_input ...])
struct LowRank {
  PartPlace place;
  std::size_t rank = 0;  ///< 0: it adds nothing
  float scale = 0;       ///< alpha / r, or alpha / sqrt(r), times the multiplier of the matrix
  SecretBuffer<float> a; ///< [rank][inputs]: the gain that is folded into the matrix is in it
  SecretBuffer<float> b; ///< [rank][outputs]: the transpose of lora_B
};

/// A LoRA adapter of a PEFT folder, for one model. It belongs to a tenant: it stays in the enclave,
/// where what it adds is computed, and workers do not learn that there is one.
class Adapter {
public:
  /// Reads adapter_config.json and adapter_model.safetensors, each once, into private memory, from
  /// where they are hashed and parsed.
  /// @param name   what requests call it
  /// @param store  of the model: gains of norms that are folded into matrices
  /// @throws Error{model} naming file and field or tensor for what is malformed or not computed
  /// (PeftConfig), for matrices that are missing, of another shape or rank than the files say, NaN
  /// or infinite, for modules that are no outsourced matrix of this model, and for a prepared
  /// folder without the gains (earlier versions did not keep them).
  Adapter(std::string name, const std::filesystem::path& folder, const arch::ModelPlan& plan,
          const TensorStore& store);

  const std::string& name() const noexcept { return name_; }
  /// SHA-256 of the line "talaria adapter 1" and a line "DIGEST BYTES NAME" for each of the two
  /// files, as in root_of().
  const Sha256Digest& digest() const noexcept { return digest_; }
  /// By part of the matrix; empty if it adds nothing to any.
  std::span<const LowRank> of(arch::LinearId linear) const;
  std::size_t bytes() const noexcept; ///< of all matrices

private:
  friend class AdapterReader;
  std::string name_;
  Sha256Digest digest_{};
  std::map<u32, std::vector<LowRank>> parts_; ///< by LinearId
};

} // namespace talaria::model
