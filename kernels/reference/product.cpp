#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/reference/modular.hpp"
#include "kernels/reference/reference.hpp"

namespace talaria::kernels::reference {

namespace {

constexpr std::size_t kPanel = PackedWeights::kPanel;
constexpr std::size_t kDepth = 64; ///< inputs per block: 32 KiB of weights as doubles
constexpr std::size_t kRows = 32;  ///< rows that share one unpacking of a block
constexpr int kLowBits = 28;

/// Weights of `depth` inputs from input `first` on, as [depth][64] numbers.
template <class T>
void unpack_block(const i8* panel, std::size_t first, std::size_t depth, T* block) {
  for (std::size_t i = 0; i < depth; ++i)
    for (std::size_t j = 0; j < kPanel; ++j)
      block[i * kPanel + j] = panel[((first + i) / 4 * kPanel + j) * 4 + (first + i) % 4];
}

/// sums[h][j] += sum_i halves[h][i] block[i][j]
void accumulate(const double halves[2][kDepth], const double* block, std::size_t depth,
                double sums[2][kPanel]) {
  constexpr std::size_t kColumns = 4;
  for (std::size_t j = 0; j < kPanel; j += kColumns) {
    double low[kColumns];
    double top[kColumns];
    std::copy_n(sums[0] + j, kColumns, low);
    std::copy_n(sums[1] + j, kColumns, top);
    for (std::size_t i = 0; i < depth; ++i)
      for (std::size_t l = 0; l < kColumns; ++l) {
        low[l] += halves[0][i] * block[i * kPanel + j + l];
        top[l] += halves[1][i] * block[i * kPanel + j + l];
      }
    std::copy_n(low, kColumns, sums[0] + j);
    std::copy_n(top, kColumns, sums[1] + j);
  }
}

struct RowSums {
  double sums[2][kPanel];
};

/// One panel for up to kRows rows. Words are split into two halves of 28 bits; as |W| <= 2^7 and
/// d_in < 2^17, every partial sum is an integer of at most 52 bits, which a double holds exactly.
void panel_product(const u8* c, std::size_t rows, std::size_t d_in, const i8* panel,
                   const Modulus& q, RowSums* sums) {
  double block[kDepth * kPanel];
  double halves[2][kDepth];
  const int bytes = q.word_bytes;
  for (std::size_t first = 0; first < d_in; first += kDepth) {
    const std::size_t depth = std::min(kDepth, d_in - first);
    unpack_block(panel, first, depth, block);
    for (std::size_t t = 0; t < rows; ++t) {
      for (std::size_t i = 0; i < depth; ++i) {
        const u64 word = load_word(c + (t * d_in + first + i) * bytes, bytes);
        halves[0][i] = static_cast<double>(word & ((u64{1} << kLowBits) - 1));
        halves[1][i] = static_cast<double>(word >> kLowBits);
      }
      accumulate(halves, block, depth, sums[t].sums);
    }
  }
}

} // namespace

void residue_product(const u8* c, std::size_t rows, const PackedWeights& w, const Modulus& q, u8* y,
                     std::size_t panel_begin, std::size_t panel_end) {
  const std::size_t bytes = static_cast<std::size_t>(q.word_bytes);
  std::vector<RowSums> sums(std::min(rows, kRows));
  for (std::size_t p = panel_begin; p < panel_end; ++p)
    for (std::size_t first = 0; first < rows; first += kRows) {
      const std::size_t count = std::min(kRows, rows - first);
      std::fill(sums.begin(), sums.end(), RowSums{});
      panel_product(c + first * w.d_in() * bytes, count, w.d_in(), w.panel(p), q, sums.data());
      const std::size_t columns = std::min(kPanel, w.d_out() - p * kPanel);
      for (std::size_t t = 0; t < count; ++t)
        for (std::size_t j = 0; j < columns; ++j) {
          const u64 low = q.from_signed(static_cast<i64>(sums[t].sums[0][j]));
          const u64 top = q.from_signed(static_cast<i64>(sums[t].sums[1][j]));
          const u64 sum = q.add(low, q.mul(top, u64{1} << kLowBits));
          store_word(y + ((first + t) * w.d_out() + p * kPanel + j) * bytes, sum, q.word_bytes);
        }
    }
}

void recombine_limbs(const i64* sums, std::size_t stride, std::size_t limbs, int limb_bits,
                     std::size_t columns, const Modulus& q, u8* out) {
  const Reducer reduce(q.q);
  const u128 bias = ((u128{1} << 100) / q.q + 1) * q.q; // makes any sum positive
  for (std::size_t j = 0; j < columns; ++j) {
    i128 sum = 0;
    for (std::size_t l = limbs; l-- > 0;) sum = (sum << limb_bits) + sums[l * stride + j];
    store_word(out + j * static_cast<std::size_t>(q.word_bytes),
               reduce(static_cast<u128>(sum) + bias), q.word_bytes);
  }
}

// Within a panel a sum stays below 2^7 2^27 2^6, exact in double precision.
void weight_dot_halves(const PackedWeights& w, const u64* z, i64* sums, std::size_t panel_begin,
                       std::size_t panel_end) {
  for (std::size_t p = panel_begin; p < panel_end; ++p) {
    double halves[2][kPanel] = {};
    for (std::size_t j = 0; j < std::min(kPanel, w.d_out() - p * kPanel); ++j) {
      halves[0][j] = static_cast<double>(z[p * kPanel + j] & ((u64{1} << 27) - 1));
      halves[1][j] = static_cast<double>(z[p * kPanel + j] >> 27);
    }
    const i8* entry = w.panel(p);
    for (std::size_t g = 0; g < w.groups(); ++g) {
      double group[2][4] = {};
      for (std::size_t j = 0; j < kPanel; ++j, entry += 4)
        for (std::size_t l = 0; l < 4; ++l) {
          group[0][l] += halves[0][j] * entry[l];
          group[1][l] += halves[1][j] * entry[l];
        }
      for (std::size_t h = 0; h < 2; ++h)
        for (std::size_t l = 0; l < 4; ++l)
          sums[8 * g + 4 * h + l] += static_cast<i64>(group[h][l]);
    }
  }
}

void float_product(const float* c, std::size_t rows, const PackedWeights& w, float* y,
                   std::size_t panel_begin, std::size_t panel_end) {
  const std::size_t d_in = w.d_in();
  float block[kDepth * kPanel];
  for (std::size_t p = panel_begin; p < panel_end; ++p) {
    const std::size_t columns = std::min(kPanel, w.d_out() - p * kPanel);
    float* out = y + p * kPanel;
    for (std::size_t t = 0; t < rows; ++t) std::fill_n(out + t * w.d_out(), columns, 0.0f);
    for (std::size_t first = 0; first < d_in; first += kDepth) {
      const std::size_t depth = std::min(kDepth, d_in - first);
      unpack_block(w.panel(p), first, depth, block);
      for (std::size_t t = 0; t < rows; ++t)
        for (std::size_t i = 0; i < depth; ++i)
          for (std::size_t j = 0; j < columns; ++j)
            out[t * w.d_out() + j] =
                std::fma(c[t * d_in + first + i], block[i * kPanel + j], out[t * w.d_out() + j]);
    }
  }
}

} // namespace talaria::kernels::reference
