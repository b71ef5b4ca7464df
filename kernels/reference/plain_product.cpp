#include <algorithm>
#include <cstring>

#include "kernels/reference/reference.hpp"

namespace talaria::kernels::reference {

namespace {

/// sums[j] = sum_i x[i] W[i][j] for the 64 columns of one panel.
void panel_row(const i8* x, std::size_t d_in, const i8* panel, i32* sums) {
  std::fill_n(sums, PackedWeights::kPanel, 0);
  for (std::size_t i = 0; i < d_in; i += 4, panel += 4 * PackedWeights::kPanel)
    for (std::size_t l = 0; l < std::min<std::size_t>(4, d_in - i); ++l) {
      const i32 factor = x[i + l];
      for (std::size_t j = 0; j < PackedWeights::kPanel; ++j) sums[j] += factor * panel[4 * j + l];
    }
}

} // namespace

void plain_product(const i8* x, std::size_t rows, const PackedWeights& w, i32* y,
                   std::size_t panel_begin, std::size_t panel_end) {
  i32 sums[PackedWeights::kPanel];
  for (std::size_t p = panel_begin; p < panel_end; ++p)
    for (std::size_t t = 0; t < rows; ++t) {
      panel_row(x + t * w.d_in(), w.d_in(), w.panel(p), sums);
      std::memcpy(y + t * w.d_out() + p * PackedWeights::kPanel, sums,
                  std::min(PackedWeights::kPanel, w.d_out() - p * PackedWeights::kPanel) *
                      sizeof(i32));
    }
}

} // namespace talaria::kernels::reference
