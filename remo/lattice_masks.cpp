#include "remo/lattice_masks.hpp"

#include <algorithm>
#include <cstring>

#include "core/secret.hpp"
#include "kernels/kernel_set.hpp"

namespace talaria::remo {
namespace {

constexpr std::size_t kTile = HintTiles::kColumns;
constexpr std::size_t kGroupTiles = kMaskGroup / kTile;

/// words[c] += errors[c] mod q, in constant time.
void add_errors(u64* words, const i8* errors, const kernels::Modulus& q) {
  for (std::size_t c = 0; c < kMaskGroup; ++c) {
    i64 sum = static_cast<i64>(words[c]) + errors[c];
    sum += static_cast<i64>(q.q) & (sum >> 63);
    sum -= static_cast<i64>(q.q);
    sum += static_cast<i64>(q.q) & (sum >> 63);
    words[c] = static_cast<u64>(sum);
  }
}

} // namespace

void make_mask_words(const kernels::NttPlan& plan, std::span<const u64> secret,
                     const HintTiles& matrix, const ErrorSource& errors, u8* out) {
  const kernels::KernelSet& kernels = kernels::active_kernels();
  const kernels::Modulus& q = plan.modulus;
  const std::size_t n = plan.n;
  const std::size_t columns = matrix.columns();
  SecretBuffer<u64> tiles(kGroupTiles * n * kTile); // [tile][N][8]
  SecretBuffer<i8> noise(errors ? n * kMaskGroup : 0);
  SecretBuffer<u64> row(kMaskGroup);

  for (std::size_t first = 0; first < columns; first += kMaskGroup) {
    const std::size_t count = std::min(kMaskGroup, columns - first);
    const std::size_t used = (count + kTile - 1) / kTile;
    for (std::size_t t = 0; t < used; ++t)
      kernels.mask_tile(plan, secret.data(), matrix.tile(first / kTile + t), secret.size() / n,
                        tiles.data() + t * n * kTile);
    if (errors) errors(first, noise.span());
    for (std::size_t r = 0; r < n; ++r) {
      for (std::size_t t = 0; t < used; ++t)
        std::memcpy(row.data() + t * kTile, tiles.data() + (t * n + r) * kTile,
                    kTile * sizeof(u64));
      if (errors) add_errors(row.data(), noise.data() + r * kMaskGroup, q);
      kernels.pack_words(row.data(),
                         out + (r * columns + first) * static_cast<std::size_t>(q.word_bytes),
                         count, q);
    }
  }
}

} // namespace talaria::remo
