#include <cmath>

#include "kernels/kernel_set.hpp"

// The C library's double sine and cosine may differ in the last bit from one machine to the next
// (it has variants with and without FMA), hence an own evaluation of fixed operations: error below
// 2^-50, so the float is the rounded true value but for arguments within 2^-26 ulp of a tie.

namespace talaria::kernels {

namespace {

/// pi/2 in three doubles.
constexpr double kHalfPi1 = 0x1.921fb54442d18p+0;
constexpr double kHalfPi2 = 0x1.1a62633145c07p-54;
constexpr double kHalfPi3 = -0x1.f1976b7ed8fbcp-110;
constexpr double kTwoOverPi = 0x1.45f306dc9c883p-1;

/// sin r and cos r for |r| <= pi/4, polynomials of FreeBSD's msun (k_sin.c, k_cos.c).
double kernel_sin(double r) {
  constexpr double kS[] = {1.58969099521155010221e-10, -2.50507602534068634195e-08,
                           2.75573137070700676789e-06, -1.98412698298579493134e-04,
                           8.33333333332248946124e-03, -1.66666666666666324348e-01};
  const double z = r * r;
  double p = kS[0];
  for (int i = 1; i < 6; ++i) p = std::fma(p, z, kS[i]);
  return std::fma(p * z, r, r);
}
double kernel_cos(double r) {
  constexpr double kC[] = {-1.13596475577881948265e-11, 2.08757232129817482790e-09,
                           -2.75573143513906633035e-07, 2.48015872894767294178e-05,
                           -1.38888888888741095749e-03, 4.16666666666666019037e-02};
  const double z = r * r;
  double p = kC[0];
  for (int i = 1; i < 6; ++i) p = std::fma(p, z, kC[i]);
  return std::fma(p * z, z, std::fma(-0.5, z, 1.0));
}

} // namespace

void rope_angles(u32 position, const float* frequency, std::size_t n, float* cos,
                 float* sin) noexcept {
  for (std::size_t i = 0; i < n; ++i) {
    const float rounded = static_cast<float>(position) * frequency[i];
    const double angle = static_cast<double>(rounded);
    const double turns = std::nearbyint(angle * kTwoOverPi);
    double r = std::fma(-turns, kHalfPi1, angle);
    r = std::fma(-turns, kHalfPi2, r);
    r = std::fma(-turns, kHalfPi3, r);
    const double s = kernel_sin(r);
    const double c = kernel_cos(r);
    const unsigned quadrant = static_cast<unsigned>(static_cast<i64>(turns)) & 3u;
    const double quarter_cos[4] = {c, -s, -c, s};
    const double quarter_sin[4] = {s, c, -s, -c};
    cos[i] = static_cast<float>(quarter_cos[quadrant]);
    sin[i] = static_cast<float>(quarter_sin[quadrant]);
  }
}

} // namespace talaria::kernels
