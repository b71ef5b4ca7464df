#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "core/secret.hpp"
#include "kernels/ntt_plan.hpp"
#include "kernels/word_rounding.hpp"
#include "remo/hint_tiles.hpp"

namespace talaria::remo {

/// Columns made together, so that every row of a block is written in pieces of 64 words.
inline constexpr std::size_t kMaskGroup = 64;

/// One of the blocks that make_mask_words() makes together.
struct MaskTarget {
  const SecretBuffer<u64>* secret; ///< [k][N] in NTT form
  u8* out;                         ///< first word of the first of N rows
};

/// Fills errors[t * kMaskGroup + c] for the coefficients t < N of columns first + c, c <
/// kMaskGroup; called once for every group of columns of every target.
using ErrorSource = std::function<void(std::size_t first, std::span<i8> errors)>;

/// For each target words of N mask rows, `stride` bytes apart: out[t][j] = coefficient t of
/// INTT(sum_kappa s_kappa o B[kappa][j]) + e_j mod q, rounded to words mod p if `to` says so; no
/// errors if `errors` is empty. All targets share one reading of the matrix, which is what single
/// blocks spend most of their time on.
void make_mask_words(const kernels::NttPlan& plan, const HintTiles& matrix,
                     std::span<const MaskTarget> targets, std::size_t stride,
                     const ErrorSource& errors, const kernels::WordRounding& to);

} // namespace talaria::remo
