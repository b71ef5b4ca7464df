#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "core/integers.hpp"
#include "kernels/modulus.hpp"

namespace talaria::remo {

/// What the words of one matrix are, on the wire and in stored masks.
struct WordFormat {
  kernels::Modulus modulus;
  u64 reply_modulus = 0; ///< q_d of the switched reply, a power of two

  constexpr std::size_t word_bytes() const { return static_cast<std::size_t>(modulus.word_bytes); }
  /// Of a value of a switched reply.
  constexpr int reply_bytes() const { return (kernels::Modulus(reply_modulus - 1).bits + 7) / 8; }
};

/// One accepted set of Module-LWE parameters (docs/protocol.md, Parameters). Secret and error
/// follow the centred binomial distribution with eta = 21 (sigma 3.24).
///
/// Masks and hints are computed modulo q. What travels are words modulo q as well or, with a set
/// that rounds, words modulo p for those matrices whose activations keep enough precision
/// (remo/bounds.hpp): their masks are rounded once, offline, and nothing online knows q.
struct LatticeParameters {
  std::string_view name;
  u64 q = 0;                        ///< of masks and hints: prime, 1 mod 2N
  u32 n = 0;                        ///< ring dimension N, a power of two
  u32 k = 0;                        ///< module rank; LWE dimension is k N
  u64 reply_modulus = 0;            ///< q_d of the switched reply, a power of two
  double core_svp_bits = 0;         ///< classical core-SVP, docs/protocol.md, Security estimates
  double quantum_core_svp_bits = 0; ///< exponent 0.265
  double fhe_standard_bits = 0;     ///< cost model of the 2018 FHE standard ("bdgl")
  std::string_view source;
  u64 p = 0;             ///< of rounded words: a prime below q; 0: the set does not round
  u32 check_vectors = 2; ///< secret vectors z that products and hints are checked with

  constexpr kernels::Modulus modulus() const { return kernels::Modulus(q); }
  constexpr bool rounds() const { return p != 0; }
  constexpr WordFormat full_words() const { return {modulus(), reply_modulus}; }
  /// Only if rounds().
  constexpr WordFormat rounded_words() const { return {kernels::Modulus(p), reply_modulus}; }
  constexpr u32 dimension() const { return n * k; }
};

inline constexpr int kEta = 21;                      ///< coins on each side of the binomial
inline constexpr double kSigma = 3.2403703492039302; ///< sqrt(kEta / 2)
/// P[|e.W_j| > tau sigma ||W_j||] <= 2 exp(-tau^2 / 2) = 2^-64.1.
inline constexpr double kTau = 9.5;
/// The largest prime below 2^40. A prime, since of a power of two a lie in the top bit would pass
/// every other check.
inline constexpr u64 kRoundedPrime = 1099511627689;

/// What `masking.parameters` may name. A set that is not listed here cannot be used by a program.
inline constexpr std::array<LatticeParameters, 6> kAcceptedParameters{{
    {"S48", 281474976694273, 256, 9, u64{1} << 32, 144.8, 131.4, 176.4, "docs/protocol.md"},
    {"S46", 70368743669761, 256, 8, u64{1} << 32, 131.1, 119.0, 162.5, "docs/protocol.md"},
    {"S40", 1099511480321, 256, 7, u64{1} << 32, 134.0, 121.6, 165.2, "docs/protocol.md"},
    {"S54", 18014398492704769, 256, 10, u64{1} << 40, 141.3, 128.3, 172.8, "docs/protocol.md"},
    {"R48", 281474976694273, 256, 9, u64{1} << 32, 144.8, 131.4, 176.4, "docs/protocol.md",
     kRoundedPrime, 3},
    {"R43", 8796093008897, 512, 4, u64{1} << 32, 144.5, 131.2, 175.9, "docs/protocol.md",
     kRoundedPrime, 3},
}};
inline constexpr const LatticeParameters& kDefaultParameters = kAcceptedParameters[0];

/// @throws Error{config} listing the accepted names, unless `name` is one of them.
const LatticeParameters& lattice_parameters(std::string_view name);

} // namespace talaria::remo
