#include "audit/public_model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/digest.hpp"
#include "core/random.hpp"
#include "kernels/kernel_set.hpp"
#include "kernels/ntt_plan.hpp"
#include "model/weights/tensor_names.hpp"
#include "remo/activation_rows.hpp"
#include "remo/bounds.hpp"
#include "remo/public/public_matrix.hpp"
#include "remo/samplers.hpp"

namespace talaria::audit {

PublicModel::PublicModel(std::shared_ptr<const pipeline::ModelLoader> loader,
                         std::shared_ptr<const worker::ProductEngine> weights,
                         const remo::LatticeParameters& parameters)
    : loader_(std::move(loader)), weights_(std::move(weights)), parameters_(parameters),
      inputs_(plan().vocab, plan().hidden), figures_(plan().linears.size()) {
  const auto table = loader_->embeddings();
  std::vector<float> gain; // of the first norm, where the worker sees it
  if (const auto& norm = plan().layers.front().attention_norm; norm && plan().exact_weights)
    gain = model::read_gain(loader_->tensors(), norm->tensor, norm->plus_one, hidden());
  for (u32 token = 0; token < plan().vocab; ++token) {
    table->lookup(token, inputs_.row_span(token));
    for (float& x : inputs_.row_span(token)) x *= plan().embedding_multiplier;
    if (const auto& norm = plan().layers.front().attention_norm)
      kernels::active_kernels().rms_norm(inputs_.row(token), gain.empty() ? nullptr : gain.data(),
                                         inputs_.row(token), hidden(), norm->eps);
  }
  for (u32 id = 0; id < figures_.size(); ++id) {
    const model::QuantizedLinear& matrix = linear({id});
    const auto bounds = remo::linear_bounds(parameters, plan().linears[{id}].name, matrix.d_in,
                                            kernels::max_column_norm(matrix.columns));
    figures_[id] = {bounds.delta_bits, bounds.activation_norm};
  }
}

std::vector<i32> PublicModel::integers(u32 token) const {
  std::vector<i32> out(hidden());
  const model::LinearId first = plan().linears.of(0, model::LinearKind::qkv).id;
  remo::quantize_activation(inputs_.row_span(token), activation_norm(first), "layers.0.qkv",
                            out.data());
  return out;
}

int PublicModel::delta_bits(model::LinearId id) const {
  return figures_.at(id.value).delta_bits;
}

double PublicModel::activation_norm(model::LinearId id) const {
  return figures_.at(id.value).activation_norm;
}

Matrix<float> hybrid_public_rows(double rank, std::size_t d_in) {
  const auto m = std::clamp<std::size_t>(
      static_cast<std::size_t>(std::ceil(rank * static_cast<double>(d_in))), 1, d_in);
  std::vector<u8> seed(remo::public_matrix_seed().begin(), remo::public_matrix_seed().end());
  const std::string suffix = fmt::format("|P|{}|{}", m, d_in);
  seed.insert(seed.end(), suffix.begin(), suffix.end());
  ChaChaRng rng(sha256(seed), 0);
  const auto normal = remo::draw_normal(m * d_in, rng);
  Matrix<float> rows(m, d_in);
  std::copy_n(normal.data(), normal.size(), rows.data());
  return rows;
}

std::vector<u64> public_polynomials(const remo::LatticeParameters& parameters, std::size_t d_in,
                                    std::size_t columns) {
  constexpr std::size_t kLanes = 8; // of ntt_inverse8
  const kernels::NttPlan plan(parameters.modulus(), parameters.n);
  const remo::PublicMatrix a(parameters, remo::public_matrix_seed(), d_in);
  const std::size_t n = parameters.n;
  const int word = plan.modulus.word_bytes;
  std::vector<u64> out(columns * parameters.k * n);
  AlignedBuffer<u64> lanes(n * kLanes);
  for (std::size_t kappa = 0; kappa < parameters.k; ++kappa)
    for (std::size_t first = 0; first < columns; first += kLanes) {
      const std::size_t count = std::min(kLanes, columns - first);
      for (std::size_t p = 0; p < n; ++p)
        for (std::size_t c = 0; c < count; ++c)
          lanes[p * kLanes + c] = kernels::load_word(
              a.row(kappa * n + p) + (first + c) * static_cast<std::size_t>(word), word);
      kernels::active_kernels().ntt_inverse8(plan, lanes.data());
      for (std::size_t c = 0; c < count; ++c)
        for (std::size_t t = 0; t < n; ++t)
          out[((first + c) * parameters.k + kappa) * n + t] = lanes[t * kLanes + c];
    }
  return out;
}

} // namespace talaria::audit
