#pragma once

#include <cstddef>
#include <span>

#include "core/random.hpp"
#include "core/secret.hpp"
#include "kernels/ntt_plan.hpp"

namespace talaria::remo {

/// Centred binomial samples, eta = 21, in [-21, 21]: six fresh bytes each, in constant time.
void draw_errors(Rng& rng, std::span<i8> out);

/// A secret of `k` polynomials with centred binomial coefficients, in NTT form: [k][N] residues.
SecretBuffer<u64> draw_secret(const kernels::NttPlan& plan, std::size_t k, Rng& rng);

/// The NTT form of given small polynomials [k][N], each coefficient at least -q.
SecretBuffer<u64> secret_to_ntt(const kernels::NttPlan& plan, std::span<const i8> coefficients);

/// `count` uniform residues.
SecretBuffer<u64> draw_residues(const kernels::Modulus& q, std::size_t count, Rng& rng);

/// `count` independent standard normal values. Not in constant time: for the research scheme only.
SecretBuffer<float> draw_normal(std::size_t count, Rng& rng);

} // namespace talaria::remo
