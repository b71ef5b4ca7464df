#include <atomic>
#include <cstdlib>
#include <mutex>
#include <set>
#include <string>

#include "core/error.hpp"
#include "kernels/product_answers.hpp"
#include "kernels/product_kernels.hpp"
#include "kernels/reference/reference.hpp"
#ifdef TALARIA_X86_KERNELS
#include "kernels/avx2/avx2.hpp"
#include "kernels/avx512/avx512.hpp"
#endif

namespace talaria::kernels {

// Built with baseline flags: nothing here may need the instructions it asks about.

namespace {

#define TALARIA_PRODUCT_ROW(row, needs)                                                            \
  { #row, needs, row::residue_product, row::float_product, row::plain_product }

constexpr ProductKernels kProductSets[] = { // best first; the reference is last and always runs
#ifdef TALARIA_X86_KERNELS
    TALARIA_PRODUCT_ROW(avx512, kAvx512 | kAvx2), TALARIA_PRODUCT_ROW(avx2, kAvx2),
#endif
    TALARIA_PRODUCT_ROW(reference, kBaseline)};

#undef TALARIA_PRODUCT_ROW

constexpr const ProductKernels& kReferenceProducts = kProductSets[std::size(kProductSets) - 1];

std::string names_of_sets() {
  std::string names;
  for (const ProductKernels& set : kProductSets) {
    if (!names.empty()) names += ", ";
    names += set.name;
    if ((set.needs & ~cpu_features()) != 0) names += " (not on this CPU)";
  }
  return names;
}

void check_products_once(const ProductKernels& set) {
  static std::mutex mutex;
  static std::set<const ProductKernels*> passed;
  const std::lock_guard lock(mutex);
  if (passed.count(&set) != 0) return;
  if (const char* wrong = first_wrong_product_kernel(set, kReferenceProducts))
    throw Error(Errc::internal, "kernel set '" + std::string(set.name) + "' gives wrong answers (" +
                                    wrong + "): rebuild, or choose another with --isa");
  passed.insert(&set);
}

std::atomic<const ProductKernels*> active_products{nullptr};

} // namespace

unsigned cpu_features() noexcept {
  unsigned features = kBaseline;
#ifdef TALARIA_X86_KERNELS
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) features |= kAvx2;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vpopcntdq") &&
      __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512ifma"))
    features |= kAvx512;
#endif
  return features;
}

std::span<const ProductKernels> product_kernel_sets() noexcept {
  return kProductSets;
}

const ProductKernels& select_product_kernels(std::string_view forced) {
  for (const ProductKernels& set : kProductSets) {
    const bool runs_here = (set.needs & ~cpu_features()) == 0;
    if (!runs_here || (!forced.empty() && forced != set.name)) continue;
    check_products_once(set);
    return set;
  }
  throw Error(Errc::usage, "no kernel set '" + std::string(forced) +
                               "' runs here; choose one of: " + names_of_sets());
}

const ProductKernels& active_product_kernels() {
  if (const ProductKernels* set = active_products.load(std::memory_order_acquire)) return *set;
  const char* forced = std::getenv("TALARIA_ISA");
  const ProductKernels& chosen = select_product_kernels(forced != nullptr ? forced : "");
  const ProductKernels* nobody = nullptr; // set_active_product_kernels may have come first
  if (active_products.compare_exchange_strong(nobody, &chosen)) return chosen;
  return *nobody;
}

void set_active_product_kernels(const ProductKernels& set) noexcept {
  active_products.store(&set, std::memory_order_release);
}

} // namespace talaria::kernels
