// A Gated DeltaNet and per-layer inputs against their definitions in double.
#include "model/delta_net.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstring>

#include "core/random.hpp"
#include "kernels/kernel_set.hpp"
#include "kernels/product_kernels.hpp"
#include "model/per_layer_inputs.hpp"

using namespace talaria;
using namespace talaria::model;

BOOST_AUTO_TEST_SUITE(delta_net)

namespace {

using Doubles = std::vector<double>;

std::vector<float> numbers(std::size_t count, u64 seed, float scale = 1) {
  auto rng = seeded_rng(seed, count);
  std::vector<float> out(count);
  for (float& x : out) x = scale * (static_cast<float>(rng.below(2001)) / 1000 - 1);
  return out;
}

/// Lengths that no vector divides.
struct Example {
  arch::DeltaNet shape{2, 6, 11, 19, 4, "", "", "", {"", 1e-6F, false}};
  DeltaTensors tensors;
  Matrix<float> in;

  explicit Example(std::size_t rows, u32 taps = 4) : in(rows, 0) {
    shape.taps = taps;
    tensors.taps = numbers(std::size_t{taps} * shape.channels(), 1);
    tensors.decay = numbers(shape.value_heads, 2);
    for (float& x : tensors.decay) x = std::exp(x);
    tensors.step = numbers(shape.value_heads, 3, 4);
    tensors.gain = numbers(shape.value_head_dim, 4, 2);
    in = Matrix<float>(rows, shape.columns());
    const auto x = numbers(rows * shape.columns(), 5, 3);
    std::copy(x.begin(), x.end(), in.data());
  }

  /// In pieces of `chunk` rows.
  Matrix<float> run(std::size_t chunk, ThreadTeam* team = nullptr) const {
    const DeltaNet net(shape, tensors);
    Matrix<float> out(in.rows(), shape.value_dim());
    std::vector<float> state(shape.state_numbers());
    for (std::size_t r = 0; r < in.rows(); r += chunk) {
      const std::size_t count = std::min(chunk, in.rows() - r);
      net.run({in.row(r), count, in.cols()}, state.data(), {out.row(r), count, out.cols()}, team);
    }
    return out;
  }
};

double silu(double x) {
  return x / (1 + std::exp(-x));
}

Doubles unit(Doubles x) {
  double sum = 1e-6;
  for (const double v : x) sum += v * v;
  for (double& v : x) v /= std::sqrt(sum);
  return x;
}

/// Output of one head, by the formulas of arch::DeltaNet.
Doubles head_by_definition(const Example& e, u32 head) {
  const arch::DeltaNet& s = e.shape;
  const auto mixed = [&](std::size_t row, std::size_t channel) {
    double sum = 0;
    for (u32 i = 0; i < s.taps; ++i)
      if (row + i + 1 >= s.taps)
        sum += double{e.tensors.taps[i * s.channels() + channel]} *
               e.in(row + i + 1 - s.taps, channel);
    return silu(sum);
  };
  const auto part = [&](std::size_t row, std::size_t first, std::size_t count) {
    Doubles out;
    for (std::size_t i = 0; i < count; ++i) out.push_back(mixed(row, first + i));
    return out;
  };
  const std::size_t dk = s.key_head_dim, dv = s.value_head_dim;
  const std::size_t key_head = head / 3;
  std::vector<Doubles> state(dk, Doubles(dv));
  Doubles out;
  for (std::size_t row = 0; row < e.in.rows(); ++row) {
    const Doubles q = unit(part(row, key_head * dk, dk));
    const Doubles k = unit(part(row, s.key_dim() + key_head * dk, dk));
    const Doubles v = part(row, 2 * s.key_dim() + head * dv, dv);
    const std::size_t z = s.channels() + head * dv;
    const double b = e.in(row, s.channels() + s.value_dim() + head);
    const double a = e.in(row, s.channels() + s.value_dim() + s.value_heads + head);
    const double decay =
        std::exp(-double{e.tensors.decay[head]} * std::log1p(std::exp(a + e.tensors.step[head])));
    Doubles o(dv);
    double squares = 0;
    for (std::size_t j = 0; j < dv; ++j) {
      double found = 0;
      for (std::size_t i = 0; i < dk; ++i) found += decay * state[i][j] * k[i];
      for (std::size_t i = 0; i < dk; ++i) {
        state[i][j] = decay * state[i][j] + k[i] * (v[j] - found) / (1 + std::exp(-b));
        o[j] += state[i][j] * q[i] / std::sqrt(static_cast<double>(dk));
      }
      squares += o[j] * o[j];
    }
    for (std::size_t j = 0; j < dv; ++j)
      out.push_back(o[j] / std::sqrt(squares / static_cast<double>(dv) + 1e-6) * e.tensors.gain[j] *
                    silu(e.in(row, z + j)));
  }
  return out;
}

bool same_bits(const Matrix<float>& a, const Matrix<float>& b) {
  return a.rows() == b.rows() && a.cols() == b.cols() &&
         std::memcmp(a.data(), b.data(), a.rows() * a.cols() * sizeof(float)) == 0;
}

} // namespace

BOOST_AUTO_TEST_CASE(follows_its_definition) {
  for (const u32 taps : {1U, 2U, 4U}) {
    const Example example(40, taps);
    const auto out = example.run(40);
    for (u32 head = 0; head < example.shape.value_heads; ++head) {
      const Doubles expected = head_by_definition(example, head);
      const std::size_t dv = example.shape.value_head_dim;
      for (std::size_t i = 0; i < expected.size(); ++i)
        BOOST_TEST_REQUIRE(std::abs(out(i / dv, head * dv + i % dv) - expected[i]) <
                               2e-4 * (1 + std::abs(expected[i])),
                           "head " << head << ", row " << i / dv);
    }
  }
}

BOOST_AUTO_TEST_CASE(chunks_threads_and_simd_targets_change_no_bit) {
  const Example example(150);
  const auto& before = kernels::active_kernels();
  const auto expected = example.run(150);
  ThreadTeam team(3);
  for (const auto& set : kernels::kernel_sets()) {
    if ((set.needs & kernels::cpu_features()) != set.needs) continue;
    kernels::set_active_kernels(set);
    for (const std::size_t chunk : {1U, 2U, 3U, 64U, 150U})
      BOOST_TEST(same_bits(example.run(chunk, &team), expected), set.name << ", " << chunk);
  }
  kernels::set_active_kernels(before);
}

BOOST_AUTO_TEST_CASE(rows_do_not_see_those_behind_them) {
  Example example(30);
  const auto before = example.run(30);
  for (std::size_t c = 0; c < example.in.cols(); ++c) example.in(20, c) += 1;
  const auto after = example.run(30);
  BOOST_TEST(std::memcmp(before.data(), after.data(), 20 * before.cols() * sizeof(float)) == 0);
  BOOST_TEST(std::memcmp(before.row(29), after.row(29), before.cols() * sizeof(float)) != 0);
}

BOOST_AUTO_TEST_CASE(per_layer_inputs_follow_their_definition) {
  constexpr std::size_t kWidth = 5, kHidden = 13, kLayers = 3;
  arch::PerLayerInputs shape{kWidth, "", 10, std::sqrt(5.0F), {"", 1e-6F, false}};
  const auto gain = numbers(kWidth, 6);
  const auto projected = numbers(kLayers * kWidth, 7);
  const auto table = numbers(kLayers * kWidth, 8);
  std::vector<float> scratch = projected;
  std::vector<float> inputs(projected.size());
  PerLayerMixing(shape, kLayers, gain).mix(scratch.data(), table.data(), inputs.data());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    double squares = 0;
    for (std::size_t j = 0; j < kWidth; ++j)
      squares += std::pow(projected[i / kWidth * kWidth + j], 2);
    const double normed = projected[i] / std::sqrt(squares / kWidth + 1e-6) * gain[i % kWidth];
    BOOST_TEST(std::abs(inputs[i] - (normed + std::sqrt(5.0) * table[i]) / std::sqrt(2.0)) < 1e-6);
  }

  LayerGains gains;
  gains.per_layer = {numbers(kWidth * kHidden, 9), numbers(kHidden * kWidth, 10),
                     numbers(kHidden, 11)};
  gains.scalar = 0.75F;
  const auto h = numbers(kHidden, 12);
  const PerLayerBlock block(gains, 1e-6F);
  BOOST_TEST_REQUIRE(block.width() == kWidth);
  std::vector<float> out(kHidden);
  block.apply(h.data(), inputs.data() + kWidth, out.data());
  Doubles gated(kWidth), back(kHidden);
  double squares = 0;
  for (std::size_t i = 0; i < kWidth; ++i) {
    double g = 0;
    for (std::size_t j = 0; j < kHidden; ++j)
      g += double{gains.per_layer.gate[i * kHidden + j]} * h[j];
    gated[i] = 0.5 * g *
               (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (g + 0.044715 * g * g * g))) *
               inputs[kWidth + i];
  }
  for (std::size_t j = 0; j < kHidden; ++j) {
    for (std::size_t i = 0; i < kWidth; ++i)
      back[j] += double{gains.per_layer.projection[j * kWidth + i]} * gated[i];
    squares += back[j] * back[j];
  }
  for (std::size_t j = 0; j < kHidden; ++j) {
    const double added = back[j] / std::sqrt(squares / kHidden + 1e-6) * gains.per_layer.gain[j];
    BOOST_TEST(std::abs(out[j] - 0.75 * (h[j] + added)) < 1e-5);
  }
}

BOOST_AUTO_TEST_SUITE_END()
