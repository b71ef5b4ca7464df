#include "model/head_preparation.hpp"

#include <algorithm>
#include <cmath>

#include "core/secret.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/kernel_set.hpp"

namespace talaria::model {

namespace {

/// 0 1 2 3 4 5 -> 0 2 4 1 3 5: pairs of neighbours become pairs of halves.
void part_neighbours(float* x, std::size_t n, float* scratch) {
  std::copy_n(x, n, scratch);
  for (std::size_t i = 0; i < n / 2; ++i) {
    x[i] = scratch[2 * i];
    x[n / 2 + i] = scratch[2 * i + 1];
  }
}

} // namespace

HeadPreparation::HeadPreparation(const arch::Attention& attention, const LayerGains& gains,
                                 bool neighbours)
    : attention_(attention), q_gain_(gains.q), k_gain_(gains.k), neighbours_(neighbours) {}

void HeadPreparation::norm(float* x, std::size_t heads, const std::vector<float>& gain,
                           float eps) const {
  const auto& set = kernels::active_kernels();
  const std::size_t d = attention_.head_dim;
  if (attention_.head_norm == arch::HeadNorm::all_heads) {
    set.rms_norm(x, gain.data(), x, heads * d, eps);
    return;
  }
  for (std::size_t h = 0; h < heads; ++h) set.rms_norm(x + h * d, gain.data(), x + h * d, d, eps);
}

void HeadPreparation::turn(float* x, std::size_t heads, const RowPositions::Angles& angles,
                           std::size_t row) const {
  const auto& set = kernels::active_kernels();
  const std::size_t turned = 2 * angles.cos.cols();
  SecretBuffer<float> scratch(neighbours_ ? turned : 0);
  for (std::size_t h = 0; h < heads; ++h, x += attention_.head_dim) {
    if (neighbours_) part_neighbours(x, turned, scratch.data());
    set.rope(x, angles.cos.row(row), angles.sin.row(row), turned);
  }
}

void HeadPreparation::prepare(float* q, float* k, const RowPositions& rows, std::size_t row) const {
  const arch::Attention& a = attention_;
  if (a.head_norm != arch::HeadNorm::none) {
    norm(q, a.heads, q_gain_, a.q_norm.eps);
    if (!a.reads_layer) norm(k, a.kv_heads, k_gain_, a.k_norm.eps);
  }
  if (a.clip != 0) {
    clip(q, a.q_dim());
    if (!a.reads_layer) clip(k, a.kv_dim());
  }
  if (a.rope) {
    turn(q, a.heads, rows.ropes[*a.rope], row);
    if (!a.reads_layer) turn(k, a.kv_heads, rows.ropes[*a.rope], row);
  }
  if (a.query_beta != 0) {
    const auto beyond = static_cast<float>(rows.position[row] / a.query_length);
    const float factor = 1 + a.query_beta * std::log(1 + beyond);
    for (std::size_t i = 0; i < a.q_dim(); ++i) q[i] *= factor;
  }
}

void HeadPreparation::prepare_row(const float* from, float* to, const RowPositions& rows,
                                  std::size_t row) const {
  const arch::Attention& a = attention_;
  if (a.output_gate) {
    for (std::size_t h = 0; h < a.heads; ++h)
      std::copy_n(from + 2 * h * a.head_dim, a.head_dim, to + h * a.head_dim);
  } else {
    std::copy_n(from, a.q_dim(), to);
  }
  float* const k = to + a.q_dim();
  if (!a.reads_layer) take_keys_and_values(from + a.q_columns(), k, k + a.kv_dim());
  prepare(to, k, rows, row);
}

void HeadPreparation::take_keys_and_values(const float* from, float* k, float* v) const {
  const arch::Attention& a = attention_;
  std::copy_n(from, a.kv_dim(), k);
  std::copy_n(a.values_are_keys ? from : from + a.kv_dim(), a.v_dim(), v);
  if (a.clip != 0) clip(v, a.v_dim());
  if (!a.value_eps) return;
  for (std::size_t h = 0; h < a.kv_heads; ++h, v += a.v_head_dim())
    kernels::active_kernels().rms_norm(v, nullptr, v, a.v_head_dim(), *a.value_eps);
}

void HeadPreparation::apply_gate(const float* from, float* heads) const {
  const arch::Attention& a = attention_;
  if (!a.output_gate) return;
  for (std::size_t h = 0; h < a.heads; ++h, heads += a.head_dim)
    kernels::sigmoid_mul(from + (2 * h + 1) * a.head_dim, heads, heads, a.head_dim);
}

void HeadPreparation::clip(float* x, std::size_t n) const {
  const float c = attention_.clip;
  for (std::size_t i = 0; i < n; ++i) x[i] = kernels::larger(kernels::smaller(x[i], c), -c);
}

} // namespace talaria::model
