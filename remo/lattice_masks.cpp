#include "remo/lattice_masks.hpp"

#include <algorithm>

#include "kernels/kernel_set.hpp"

namespace talaria::remo {
namespace {
constexpr std::size_t kTile = HintTiles::kColumns;
constexpr std::size_t kGroupTiles = kMaskGroup / kTile;

/// [N][k][targets] from one [k][N] each.
SecretBuffer<u64> interleave(std::span<const MaskTarget> targets, std::size_t n, std::size_t k) {
  SecretBuffer<u64> out(targets.size() * n * k, Unwritten{});
  for (std::size_t b = 0; b < targets.size(); ++b)
    for (std::size_t kappa = 0; kappa < k; ++kappa)
      for (std::size_t r = 0; r < n; ++r)
        out[(r * k + kappa) * targets.size() + b] = (*targets[b].secret)[kappa * n + r];
  return out;
}

} // namespace

void make_mask_words(const kernels::NttPlan& plan, const HintTiles& matrix,
                     std::span<const MaskTarget> targets, std::size_t stride,
                     const ErrorSource& errors, const kernels::WordRounding& to) {
  const kernels::KernelSet& kernels = kernels::active_kernels();
  const std::size_t n = plan.n;
  const std::size_t k = matrix.rows() / n;
  const SecretBuffer<u64> secrets = interleave(targets, n, k);
  SecretBuffer<u64> tiles(kGroupTiles * targets.size() * n * kTile,
                          Unwritten{}); // [tile][target][N][8]
  SecretBuffer<i8> noise(errors ? n * kMaskGroup : 0);

  for (std::size_t first = 0; first < matrix.columns(); first += kMaskGroup) {
    const std::size_t count = std::min(kMaskGroup, matrix.columns() - first);
    for (std::size_t t = 0; t * kTile < count; ++t)
      kernels.mask_tile(plan, secrets.data(), targets.size(), matrix.tile(first / kTile + t), k,
                        tiles.data() + t * targets.size() * n * kTile);
    for (std::size_t b = 0; b < targets.size(); ++b) {
      if (errors) errors(first, noise.span());
      kernels.mask_rows(
          tiles.data() + b * n * kTile, targets.size() * n * kTile, errors ? noise.data() : nullptr,
          n, count, targets[b].out + first * static_cast<std::size_t>(to.p.word_bytes), stride, to);
    }
  }
}

} // namespace talaria::remo
