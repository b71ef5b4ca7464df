#include "model/delta_net.hpp"

#include <algorithm>
#include <cmath>

#include "core/secret.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/kernel_set.hpp"

namespace talaria::model {

namespace {

constexpr float kUnitEps = 1e-6F;

/// Multiply-adds of the states that take longer than waking a thread.
constexpr std::size_t kWorthHelp = std::size_t{1} << 20;

} // namespace

DeltaNet::DeltaNet(const arch::DeltaNet& shape, const DeltaTensors& tensors)
    : shape_(shape), tensors_(tensors), ones_(shape.channels(), 1.0F) {}

void DeltaNet::run(MatrixView<const float> in, float* state, MatrixView<float> out,
                   ThreadTeam* team) const {
  const std::size_t channels = shape_.channels();
  SecretBuffer<float> memory(in.rows * channels);
  const MatrixView<float> mixed(memory.data(), in.rows, channels);
  convolve(in, state, mixed);
  remember(in, state);
  const float scale = 1.0F / std::sqrt(static_cast<float>(shape_.key_head_dim));
  for (std::size_t r = 0; r < in.rows; ++r) {
    make_unit(mixed.row(r), scale);
    make_unit(mixed.row(r) + shape_.key_dim(), 1.0F);
  }
  float* const matrices = state + (shape_.taps - 1) * channels;
  const std::size_t matrix = std::size_t{shape_.key_head_dim} * shape_.value_head_dim;
  const auto heads = [&](std::size_t begin, std::size_t end) {
    for (std::size_t h = begin; h < end; ++h) run_head(h, in, mixed, matrices + h * matrix, out);
  };
  if (team != nullptr && in.rows * shape_.value_heads * matrix >= kWorthHelp)
    team->parallel_for_if_free(shape_.value_heads, 1, heads);
  else
    heads(0, shape_.value_heads);
}

/// Row r takes rows r - taps + 1 to r, the first of them from `history`.
void DeltaNet::convolve(MatrixView<const float> in, const float* history,
                        MatrixView<float> mixed) const {
  const std::size_t channels = shape_.channels();
  const std::size_t before = shape_.taps - 1;
  for (std::size_t r = 0; r < in.rows; ++r) {
    float* const to = mixed.row(r);
    std::fill_n(to, channels, 0.0F);
    for (std::size_t i = 0; i < shape_.taps; ++i) {
      const float* const x = r + i < before ? history + (r + i) * channels : in.row(r + i - before);
      const float* const tap = tensors_.taps.data() + i * channels;
      for (std::size_t c = 0; c < channels; ++c) to[c] += tap[c] * x[c];
    }
    kernels::active_kernels().silu_mul(to, ones_.data(), to, channels);
  }
}

/// The last taps - 1 rows, of which some may have been there before.
void DeltaNet::remember(MatrixView<const float> in, float* history) const {
  const std::size_t channels = shape_.channels();
  const std::size_t before = shape_.taps - 1;
  const std::size_t kept = before - std::min(before, in.rows);
  std::copy_n(history + (before - kept) * channels, kept * channels, history);
  for (std::size_t i = kept; i < before; ++i)
    std::copy_n(in.row(in.rows - before + i), channels, history + i * channels);
}

/// Every key head of q or of k over its length, times `factor`.
void DeltaNet::make_unit(float* heads, float factor) const {
  const std::size_t n = shape_.key_head_dim;
  for (std::size_t h = 0; h < shape_.key_heads; ++h, heads += n) {
    const float length = kernels::active_kernels().sum_squares(heads, n);
    const float scale = 1.0F / std::sqrt(length + kUnitEps);
    for (std::size_t i = 0; i < n; ++i) heads[i] = heads[i] * scale * factor;
  }
}

void DeltaNet::run_head(std::size_t head, MatrixView<const float> in, MatrixView<const float> mixed,
                        float* state, MatrixView<float> out) const {
  const auto& set = kernels::active_kernels();
  const std::size_t n = shape_.value_head_dim;
  SecretBuffer<float> scratch(2 * n);
  for (std::size_t r = 0; r < in.rows; ++r) {
    step(head, in.row(r), mixed.row(r), state, out.row(r) + head * n, scratch.data());
    float* const o = out.row(r) + head * n;
    const float* const z = in.row(r) + shape_.channels() + head * n;
    set.rms_norm(o, tensors_.gain.data(), o, n, shape_.norm.eps);
    set.silu_mul(z, o, o, n);
  }
}

/// One row of one value head: S = a S + k (beta (v - a S^T k))^T, out = S^T q. A product of S^T is
/// what attention does with values: `weights` of the rows of S are summed up.
void DeltaNet::step(std::size_t head, const float* in, const float* mixed, float* state, float* out,
                    float* scratch) const {
  const auto& set = kernels::active_kernels();
  const std::size_t keys = shape_.key_head_dim;
  const std::size_t n = shape_.value_head_dim;
  const std::size_t key_head = shape_.key_head_of(static_cast<u32>(head));
  const float* const q = mixed + key_head * keys;
  const float* const k = q + shape_.key_dim();
  const float* const v = mixed + 2 * shape_.key_dim() + head * n;
  const float* const b = in + shape_.channels() + shape_.value_dim();
  const float* const a = b + shape_.value_heads;
  const float beta = kernels::sigmoid(b[head]);
  const float decay = kernels::canonical_exp(
      -(tensors_.decay[head] * kernels::softplus(a[head] + tensors_.step[head])));

  float* found = scratch;
  float* const change = scratch + n;
  std::fill_n(found, n, 0.0F);
  set.attend_values(k, keys, &keys, 1, state, n, &found);
  for (std::size_t j = 0; j < n; ++j) change[j] = beta * (v[j] - decay * found[j]);
  for (std::size_t i = 0; i < keys; ++i)
    kernels::decay_and_add(state + i * n, decay, k[i], change, n);
  std::fill_n(out, n, 0.0F);
  set.attend_values(q, keys, &keys, 1, state, n, &out);
}

} // namespace talaria::model
