#include "audit/mask_blocks.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "audit/matching.hpp"
#include "kernels/word_rounding.hpp"

namespace talaria::audit {

MaskPosition mask_position(std::size_t row, std::size_t ring) {
  return {row / ring, ring - 1 - row % ring};
}

std::vector<BlockRows> mixed_blocks(const CloudView& view, const MatrixRows& matrix) {
  const std::size_t ring = view.parameters->n;
  std::map<std::size_t, BlockRows> blocks;
  const KnownRows known = known_rows(view, matrix);
  for (std::size_t i = 0; i < known.rows.size(); ++i) {
    BlockRows& block = blocks[known.rows[i] / ring];
    block.known.push_back(known.rows[i]);
    block.tokens.push_back(known.tokens[i]);
  }
  for (const std::size_t row : view.unknown_rows(matrix)) blocks[row / ring].unknown.push_back(row);
  std::vector<BlockRows> out;
  for (auto& [number, block] : blocks) {
    block.block = number;
    if (!block.known.empty() && !block.unknown.empty()) out.push_back(std::move(block));
  }
  return out;
}

u64 PublicPolynomials::factor(std::size_t i, std::size_t t, std::size_t index) const {
  const std::size_t n = parameters_.n;
  const std::size_t kappa = index / n;
  const std::size_t m = index % n;
  const u64* polynomial = words_.data() + (i * parameters_.k + kappa) * n;
  if (m <= t) return polynomial[t - m];
  const u64 wrapped = polynomial[n + t - m]; // X^N = -1
  return wrapped == 0 ? 0 : modulus_.q - wrapped;
}

std::vector<u64> PublicPolynomials::mask(std::size_t t, std::span<const u64> secret) const {
  std::vector<u64> out(d_in_);
  for (std::size_t i = 0; i < d_in_; ++i) {
    u128 sum = 0; // dimension() products below 2^108
    for (std::size_t index = 0; index < secret.size(); ++index)
      if (secret[index] != 0) sum += u128{secret[index]} * factor(i, t, index);
    out[i] = static_cast<u64>(sum % modulus_.q);
  }
  return out;
}

std::vector<u64> mask_of_known_row(const CloudView& view, const MatrixRows& matrix, std::size_t row,
                                   u32 token) {
  const kernels::Modulus& words = matrix.modulus;
  const u64 q = view.parameters->q;
  const std::vector<i32> clear = view.model->integers(token);
  std::vector<u64> out(matrix.cols);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const u64 mask =
        words.sub(matrix.word_row(row)[i],
                  words.from_signed(static_cast<i64>(clear[i]) * (i64{1} << matrix.delta_bits)));
    out[i] = static_cast<u64>((u128{mask} * q + words.q / 2) / words.q) % q;
  }
  return out;
}

u64 mask_doubt(const CloudView& view, const MatrixRows& matrix) {
  return view.parameters->q == matrix.modulus.q ? 0 : view.parameters->q / matrix.modulus.q / 2 + 1;
}

std::vector<float> opened(const MatrixRows& matrix, std::size_t row, std::span<const u64> mask,
                          const kernels::Modulus& q) {
  const kernels::WordRounding to(q, matrix.modulus);
  std::vector<float> out(matrix.cols);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const u64 word = to.rounds() ? to(mask[i]) : mask[i];
    const i64 value = matrix.modulus.centered(matrix.modulus.sub(matrix.word_row(row)[i], word));
    out[i] = static_cast<float>(std::ldexp(static_cast<double>(value), -matrix.delta_bits));
  }
  return out;
}

} // namespace talaria::audit
