// The second mask row of every block is the first one again.
#include <cstring>

#include "tests/audit/seeded_bug.hpp"

#define make_mask_words honest_mask_words
#include "remo/lattice_masks.cpp"
#undef make_mask_words

const char* const talaria::tests::kCaughtBy = "reuse";

namespace talaria::remo {

void make_mask_words(const kernels::NttPlan& plan, const HintTiles& matrix,
                     std::span<const MaskTarget> targets, std::size_t stride,
                     const ErrorSource& errors, const kernels::WordRounding& to) {
  honest_mask_words(plan, matrix, targets, stride, errors, to);
  for (const MaskTarget& target : targets) std::memcpy(target.out + stride, target.out, stride);
}

} // namespace talaria::remo
