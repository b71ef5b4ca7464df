#include "kernels/ntt_plan.hpp"

#include <string>

#include "core/error.hpp"

namespace talaria::kernels {

namespace {

/// Miller-Rabin with the first twelve primes as bases: exact for every 64-bit number.
bool is_prime(const Modulus& m) {
  if (m.q < 2) return false;
  constexpr u64 kBases[] = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37};
  for (const u64 p : kBases)
    if (m.q % p == 0) return m.q == p;
  u64 odd = m.q - 1;
  int twos = 0;
  for (; odd % 2 == 0; odd /= 2) ++twos;
  for (const u64 base : kBases) {
    u64 x = m.pow(base, odd);
    bool passes = x == 1 || x == m.q - 1;
    for (int i = 1; i < twos && !passes; ++i) {
      x = m.mul(x, x);
      passes = x == m.q - 1;
    }
    if (!passes) return false;
  }
  return true;
}

u64 least_non_residue(const Modulus& m) {
  u64 g = 2;
  while (m.pow(g, (m.q - 1) / 2) != m.q - 1) ++g;
  return g;
}

} // namespace

NttPlan::NttPlan(Modulus m, std::size_t length) : modulus(m), n(length) {
  const bool sized = n >= 2 && n <= 4096 && (n & (n - 1)) == 0;
  if (!sized || m.bits > 54 || (m.q - 1) % (2 * n) != 0 || !is_prime(m))
    throw Error(Errc::internal, "no transform of length " + std::to_string(n) + " modulo " +
                                    std::to_string(m.q) +
                                    ": the modulus must be a prime below 2^54 that is 1 modulo "
                                    "twice the length, the length a power of two in [2, 4096]");
  while ((std::size_t{1} << log2n) < n) ++log2n;
  const u64 psi = m.pow(least_non_residue(m), (m.q - 1) / (2 * n));
  const u64 psi_inverse = m.inverse(psi);
  forward.resize(n);
  inverse.resize(n);
  const u64 shift52 = (u64{1} << 52) % m.q;
  n_inverse = twiddle(m.inverse(n));
  u64 power = 1;
  u64 power_inverse = 1;
  for (std::size_t e = 0; e < n; ++e) { // psi^e belongs at the reversed index
    forward[reversed(e)] = twiddle(power);
    inverse[reversed(e)] = twiddle(power_inverse);
    untwist.push_back(twiddle(m.mul(power_inverse, n_inverse.w)));
    untwist52.push_back(twiddle(m.mul(untwist.back().w, shift52)));
    power = m.mul(power, psi);
    power_inverse = m.mul(power_inverse, psi_inverse);
  }
}

NttPlan::Twiddle NttPlan::twiddle(u64 w) const {
  return {w, static_cast<u64>((u128{w} << 64) / modulus.q),
          static_cast<u64>((u128{w} << 52) / modulus.q)};
}

std::size_t NttPlan::reversed(std::size_t i) const {
  std::size_t r = 0;
  for (int bit = 0; bit < log2n; ++bit) r |= (i >> bit & 1) << (log2n - 1 - bit);
  return r;
}

} // namespace talaria::kernels
