#pragma once

#include <valgrind/memcheck.h>

#include <cstddef>
#include <vector>

#include "kernels/kernel_set.hpp"

/// Secrets as valgrind's memcheck follows them, after ctgrind (Langley 2010): memory that is marked
/// as undefined may be moved and computed with, and each branch or address that depends on it is an
/// error.
namespace talaria::tests {

template <class T>
void poison(std::vector<T>& values) {
  VALGRIND_MAKE_MEM_UNDEFINED(values.data(), values.size() * sizeof(T));
}
template <class T>
void cure(std::vector<T>& values) {
  VALGRIND_MAKE_MEM_DEFINED(values.data(), values.size() * sizeof(T));
}

/// Branches and addresses seen to depend on a secret while `work` ran.
template <class Work>
unsigned leaks_of(Work&& work) {
  const unsigned before = VALGRIND_COUNT_ERRORS;
  work();
  return VALGRIND_COUNT_ERRORS - before;
}

/// SIMD targets that valgrind 3.19 knows and this CPU has.
inline std::vector<const char*> targets() {
  std::vector<const char*> names{"reference"};
  if ((kernels::cpu_features() & kernels::kAvx2) != 0) names.push_back("avx2");
  return names;
}

} // namespace talaria::tests
