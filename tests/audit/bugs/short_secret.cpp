// Secrets with two coefficients +-1 and nothing else; errors as they are.
#include "tests/audit/seeded_bug.hpp"

#define draw_secret honest_secret
#include "remo/samplers.cpp"
#undef draw_secret

const char* const talaria::tests::kCaughtBy = "short-secret";

namespace talaria::remo {

SecretBuffer<u64> draw_secret(const kernels::NttPlan& plan, std::size_t k, Rng& rng) {
  SecretBuffer<i8> coefficients(k * plan.n);
  for (int i = 0; i < 2; ++i)
    coefficients[rng.below(coefficients.size())] = rng.below(2) == 0 ? i8{1} : i8{-1};
  return secret_to_ntt(plan, coefficients.span());
}

} // namespace talaria::remo
