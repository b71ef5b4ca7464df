#pragma once

#include <cstddef>
#include <string>

namespace talaria::cli {

/// What this machine can do at best, for the roofline columns of `talaria bench`.
struct MachineFigures {
  std::string kernels;         ///< the SIMD target in use
  std::size_t threads = 0;     ///< that share the work below
  double read_bytes_per_s = 0; ///< from memory, all threads together
  double int8_ops_per_s = 0;   ///< plain int8 products out of the cache; a multiply-add is two
};

/// Measures for about half a second; `threads` >= 1. The figures are the best of many short runs.
MachineFigures probe_machine(std::size_t threads);

/// Element-wise maximum of two probe runs: other work may have disturbed one.
MachineFigures best_of(MachineFigures a, const MachineFigures& b);

} // namespace talaria::cli
