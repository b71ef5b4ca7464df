#pragma once

#include <memory>
#include <span>
#include <vector>

#include "actors/worker/product_engine.hpp"
#include "arch/model_plan.hpp"
#include "core/matrix.hpp"
#include "model/weights/quantized.hpp"
#include "pipeline/model_loader.hpp"
#include "remo/public/parameters.hpp"

namespace talaria::audit {

/// What the cloud knows of the model: all of it. Weights, embedding table and gains are public, so
/// for every token it can compute what an enclave would have sent unmasked.
class PublicModel {
public:
  /// `weights` holds every matrix of the model: the worker's own.
  PublicModel(std::shared_ptr<const pipeline::ModelLoader> loader,
              std::shared_ptr<const worker::ProductEngine> weights,
              const remo::LatticeParameters& parameters);

  const arch::ModelPlan& plan() const { return loader_->plan(); }
  const remo::LatticeParameters& parameters() const { return parameters_; }
  std::size_t vocab() const { return plan().vocab; }
  std::size_t hidden() const { return plan().hidden; }

  /// Input of layers.0.qkv for every token, [vocab, hidden]: RMSNorm of its embedding, the gain
  /// being part of the weights.
  const Matrix<float>& inputs() const { return inputs_; }
  /// The integers that the integer schemes send of token `token` for layers.0.qkv before masking,
  /// bit for bit.
  std::vector<i32> integers(u32 token) const;

  /// Delta and B of matrix `id`, which follow from its weights (remo/bounds.hpp).
  int delta_bits(model::LinearId id) const;
  double activation_norm(model::LinearId id) const;

  const model::QuantizedLinear& linear(model::LinearId id) const {
    return weights_->linear(id.value);
  }
  const pipeline::ModelLoader& loader() const { return *loader_; }

private:
  struct Figures {
    int delta_bits = 0;
    double activation_norm = 0;
  };

  std::shared_ptr<const pipeline::ModelLoader> loader_;
  std::shared_ptr<const worker::ProductEngine> weights_;
  const remo::LatticeParameters& parameters_;
  Matrix<float> inputs_;
  std::vector<Figures> figures_; ///< by LinearId
};

/// M_pub of the hybrid scheme for d_in inputs, [m, d_in]: seed and rule are in the released code.
Matrix<float> hybrid_public_rows(double rank, std::size_t d_in);

/// The public matrix A as polynomials, coefficient t of A[kappa][i] at
/// [(i k + kappa) N + t], for the inputs i < columns.
std::vector<u64> public_polynomials(const remo::LatticeParameters& parameters, std::size_t d_in,
                                    std::size_t columns);

} // namespace talaria::audit
