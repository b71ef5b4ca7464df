#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "core/secret.hpp"
#include "kernels/kernel_set.hpp"

namespace talaria::kernels {

namespace {

constexpr std::size_t kPanel = PackedWeights::kPanel;

} // namespace

void weight_dot(const PackedWeights& w, const u64* z, u64* t, const Modulus& q) {
  weight_dot(w, z, t, q, 0, w.panels());
}

void weight_dot(const PackedWeights& w, const u64* z, u64* t, const Modulus& q,
                std::size_t panel_begin, std::size_t panel_end) {
  SecretBuffer<i64> sums(8 * w.groups());
  active_kernels().weight_dot_halves(w, z, sums.data(), panel_begin, panel_end);
  const u64 shift = u64{1} << 27;
  for (std::size_t i = 0; i < w.d_in(); ++i) {
    const i64* group = sums.data() + i / 4 * 8;
    t[i] = q.add(q.from_signed(group[i % 4]), q.mul(q.from_signed(group[4 + i % 4]), shift));
  }
}

double max_column_norm(const PackedWeights& w) {
  constexpr std::size_t kGroups = std::size_t{1} << 14; // whose squares fit in 31 bits
  u64 most = 0;
  for (std::size_t p = 0; p < w.panels(); ++p) {
    std::array<u64, kPanel> squares{};
    for (std::size_t first = 0; first < w.groups(); first += kGroups) {
      const std::size_t end = std::min(w.groups(), first + kGroups);
      const i8* entry = w.panel(p) + first * 4 * kPanel;
      std::array<i32, 4 * kPanel> sums{};
      for (std::size_t g = first; g < end; ++g, entry += 4 * kPanel)
        for (std::size_t j = 0; j < 4 * kPanel; ++j) {
          const i16 weight = entry[j];
          sums[j] += weight * weight;
        }
      for (std::size_t j = 0; j < 4 * kPanel; ++j) squares[j / 4] += static_cast<u64>(sums[j]);
    }
    most = std::max(most, *std::max_element(squares.begin(), squares.end()));
  }
  if (most == 0) return 0.0;
  const double root = std::sqrt(static_cast<double>(most)); // squares are below 2^53
  return std::nextafter(root, std::numeric_limits<double>::infinity());
}

} // namespace talaria::kernels
