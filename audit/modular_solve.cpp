#include "audit/modular_solve.hpp"

#include <algorithm>
#include <cstddef>

namespace talaria::audit {
namespace {

/// sum_k a[k] b[k] mod q. Products are below 2^108, so 2^16 of them fit.
u64 dot(const u64* a, const u64* b, std::size_t count, const kernels::Modulus& q) {
  u128 sum = 0;
  for (std::size_t k = 0; k < count; ++k) sum += u128{a[k]} * b[k];
  return static_cast<u64>(sum % q.q);
}

/// Crout's factors in place: L on and below the diagonal of `lower`, the unit upper factor by
/// columns in `upper`. Rows of `right` follow the pivots. False if singular.
bool factor(std::vector<u64>& lower, std::vector<u64>& upper, std::vector<u64>& right,
            std::size_t n, const kernels::Modulus& q) {
  for (std::size_t j = 0; j < n; ++j) {
    u64* column = upper.data() + j * n; // U[0..j)[j], then zeros
    for (std::size_t i = j; i < n; ++i) {
      u64* row = lower.data() + i * n;
      row[j] = q.sub(row[j], dot(row, column, j, q));
    }
    std::size_t pivot = j;
    while (pivot < n && lower[pivot * n + j] == 0) ++pivot;
    if (pivot == n) return false;
    if (pivot != j) {
      std::swap_ranges(lower.begin() + static_cast<std::ptrdiff_t>(j * n),
                       lower.begin() + static_cast<std::ptrdiff_t>((j + 1) * n),
                       lower.begin() + static_cast<std::ptrdiff_t>(pivot * n));
      std::swap(right[j], right[pivot]);
    }
    const u64* row = lower.data() + j * n;
    const u64 inverse = q.inverse(row[j]);
    for (std::size_t i = j + 1; i < n; ++i) {
      u64* other = upper.data() + i * n;
      other[j] = q.mul(q.sub(row[i], dot(row, other, j, q)), inverse);
    }
  }
  return true;
}

} // namespace

std::optional<std::vector<u64>> solve_modular(std::vector<u64> matrix, std::vector<u64> right,
                                              const kernels::Modulus& q) {
  const std::size_t n = right.size();
  std::vector<u64> upper(n * n);
  if (!factor(matrix, upper, right, n, q)) return std::nullopt;
  std::vector<u64> x(n);
  for (std::size_t i = 0; i < n; ++i) {
    const u64* row = matrix.data() + i * n;
    x[i] = q.mul(q.sub(right[i], dot(row, x.data(), i, q)), q.inverse(row[i]));
  }
  for (std::size_t j = n; j-- > 1;)
    for (std::size_t i = 0; i < j; ++i) x[i] = q.sub(x[i], q.mul(upper[j * n + i], x[j]));
  return x;
}

} // namespace talaria::audit
