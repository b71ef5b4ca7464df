// Masks without errors; secrets as they are.
#include "tests/audit/seeded_bug.hpp"

#define draw_errors honest_errors
#include "remo/samplers.cpp"
#undef draw_errors

const char* const talaria::tests::kCaughtBy = "noiseless";

namespace talaria::remo {

void draw_errors(Rng&, std::span<i8> out) {
  std::fill(out.begin(), out.end(), i8{0});
}

} // namespace talaria::remo
