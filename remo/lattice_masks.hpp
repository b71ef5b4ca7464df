#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "kernels/ntt_plan.hpp"
#include "remo/hint_tiles.hpp"

namespace talaria::remo {

/// Columns made together, so that every row of a block is written in pieces of 64 words.
inline constexpr std::size_t kMaskGroup = 64;

/// Fills errors[t * kMaskGroup + c] for the coefficients t < N of columns first + c, c <
/// kMaskGroup.
using ErrorSource = std::function<void(std::size_t first, std::span<i8> errors)>;

/// Words of N mask rows, out[t][j] = coefficient t of INTT(sum_kappa s_kappa o B[kappa][j]) + e_j
/// mod q, [N][columns] words without gaps. `secret` is [k][N] in NTT form; no errors if `errors` is
/// empty.
void make_mask_words(const kernels::NttPlan& plan, std::span<const u64> secret,
                     const HintTiles& matrix, const ErrorSource& errors, u8* out);

} // namespace talaria::remo
