#pragma once

namespace talaria::kernels {

/// canonical_exp, shared by all targets: exp(x) = 2^n exp(r), n = rint(x log2 e), |r| <= ln 2 / 2.
/// The polynomial is that of Cephes' expf: 1 + r + r^2 P(r).
namespace exp_constants {

inline constexpr float kLowest = -104.0f; ///< exp rounds to zero
inline constexpr float kHighest = 88.72f; ///< exp is still finite
inline constexpr float kLog2E = 1.44269504088896341f;
inline constexpr float kLn2High = 0.693359375f; ///< few bits, so that n kLn2High is exact
inline constexpr float kLn2Low = -2.12194440e-4f;
inline constexpr float kPolynomial[] = {1.9875691500e-4f,
                                        1.3981999507e-3f,
                                        8.3334519073e-3f,
                                        4.1665795894e-2f,
                                        1.6666665459e-1f,
                                        5.0000001201e-1f,
                                        1.0f,
                                        1.0f};

} // namespace exp_constants
} // namespace talaria::kernels
