#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <set>
#include <string>

#include "core/error.hpp"
#include "kernels/kernel_set.hpp"
#include "kernels/known_answers.hpp"
#include "kernels/reference/reference.hpp"
#ifdef TALARIA_X86_KERNELS
#include "kernels/avx2/avx2.hpp"
#include "kernels/avx512/avx512.hpp"
#endif

namespace talaria::kernels {

// Built with baseline flags, as product_dispatch.cpp, which asks the CPU.

namespace {

#define TALARIA_KERNEL_ROW(row, needs)                                                             \
  {                                                                                                \
    {#row, needs, row::residue_product, row::float_product, row::plain_product}, row::mask_row,    \
        row::decode_row, row::row_dots, row::row_dots32, row::ntt_forward8, row::ntt_inverse8,     \
        row::mask_tile, row::mask_rows, row::centered_binomial21, row::pack_words,                 \
        row::unpack_words, row::weight_dot_halves, row::sum_squares, row::dot, row::rms_norm,      \
        row::silu_mul, row::attend_scores, row::softmax_weights, row::attend_values,               \
        row::widen_bf16, row::widen_i8, row::rope, row::quantize_row, row::dequantize_row,         \
        row::select_rows                                                                           \
  }

constexpr KernelSet kSets[] = { // best first; the reference is last, needs nothing, always runs
#ifdef TALARIA_X86_KERNELS
    TALARIA_KERNEL_ROW(avx512, kAvx512 | kAvx2), TALARIA_KERNEL_ROW(avx2, kAvx2),
#endif
    TALARIA_KERNEL_ROW(reference, kBaseline)};

#undef TALARIA_KERNEL_ROW

constexpr const KernelSet& kReference = kSets[std::size(kSets) - 1];

void check_once(const KernelSet& set) {
  static std::mutex mutex;
  static std::set<const KernelSet*> passed;
  const std::lock_guard lock(mutex);
  if (passed.count(&set) != 0) return;
  if (const char* wrong = first_wrong_kernel(set, kReference))
    throw Error(Errc::internal, "kernel set '" + std::string(set.name) + "' gives wrong answers (" +
                                    wrong + "): rebuild, or choose another with --isa");
  passed.insert(&set);
}

std::atomic<const KernelSet*> active{nullptr};

} // namespace

std::span<const KernelSet> kernel_sets() noexcept {
  return kSets;
}

const KernelSet& select_kernels(std::string_view forced) {
  const std::string_view name = select_product_kernels(forced).name;
  const auto* set = std::find_if(std::begin(kSets), std::end(kSets),
                                 [name](const KernelSet& row) { return row.name == name; });
  check_once(*set); // both tables have the same rows
  return *set;
}

const KernelSet& active_kernels() {
  if (const KernelSet* set = active.load(std::memory_order_acquire)) return *set;
  const char* forced = std::getenv("TALARIA_ISA");
  const KernelSet& chosen = select_kernels(forced != nullptr ? forced : "");
  const KernelSet* nobody = nullptr; // set_active_kernels may have come first
  if (active.compare_exchange_strong(nobody, &chosen)) return chosen;
  return *nobody;
}

void set_active_kernels(const KernelSet& set) noexcept {
  active.store(&set, std::memory_order_release);
  set_active_product_kernels(set);
}

} // namespace talaria::kernels
