#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "core/integers.hpp"
#include "kernels/modulus.hpp"
#include "kernels/packed_weights.hpp"

namespace talaria::kernels {

/// CPU features a SIMD target may need; see cpu_features().
enum Isa : unsigned {
  kBaseline = 0,
  kAvx2 = 1u << 0,   ///< AVX2 and FMA
  kAvx512 = 1u << 1, ///< F, DQ, BW, VL, VBMI, VPOPCNTDQ, VNNI, IFMA
};

/// What multiplies by weights, of one SIMD target: all the arithmetic that a worker needs. A
/// library of its own, so that workers link nothing of KernelSet, which adds what only the enclave
/// computes.
///
/// All targets compute the same function, bit for bit; tests compare each with the reference by
/// `==`. Integer operations are exact.
///
/// Pointers need no alignment unless said otherwise. Buffers made of AlignedBuffer have 64 readable
/// bytes behind their end; kernels read no further than that, and write nothing beyond the end.
struct ProductKernels {
  const char* name;
  unsigned needs; ///< bits of Isa

  /// y[t][j] = sum_i c[t][i] W[i][j] mod q for the columns of the panels [panel_begin, panel_end).
  ///   c  [rows][d_in] words, rows packed without gaps;  y  [rows][d_out] words, only the columns
  ///   of those panels are written. d_in < 2^17 (int32 accumulators of 8-bit limbs). Exact.
  void (*residue_product)(const u8* c, std::size_t rows, const PackedWeights& w, const Modulus& q,
                          u8* y, std::size_t panel_begin, std::size_t panel_end);
  /// y[t][j] = sum_i c[t][i] W[i][j] in fp32, i in order by fused multiply-add from +0 (no lanes):
  /// the hybrid scheme's product. c [rows][d_in], y [rows][d_out], packed rows.
  void (*float_product)(const float* c, std::size_t rows, const PackedWeights& w, float* y,
                        std::size_t panel_begin, std::size_t panel_end);

  /// y[t][j] = sum_i x[t][i] W[i][j], unmasked: the baseline of `talaria bench`.
  ///   x  [rows][d_in], any int8;  y  [rows][d_out], only the columns of the panels are written.
  /// d_in < 2^17. Exact.
  void (*plain_product)(const i8* x, std::size_t rows, const PackedWeights& w, i32* y,
                        std::size_t panel_begin, std::size_t panel_end);
};

/// The features of this CPU (and of the operating system's register saving): bits of Isa.
unsigned cpu_features() noexcept;

/// Every SIMD target built into this program, best first; the last is "reference", which needs
/// nothing.
std::span<const ProductKernels> product_kernel_sets() noexcept;

/// The best SIMD target this CPU runs, or the one called `forced` if that is not empty. Before it
/// is returned for the first time it has to reproduce known answers.
/// @throws Error{usage} if `forced` is unknown or cannot run here; Error{internal} if a target
/// fails its check.
const ProductKernels& select_product_kernels(std::string_view forced = {});

/// The SIMD target in use by the whole process: select_product_kernels(getenv("TALARIA_ISA"))
/// unless set_active_product_kernels came first.
const ProductKernels& active_product_kernels();
/// Chooses the SIMD target for the process (a worker's `--isa`); call before any work starts.
void set_active_product_kernels(const ProductKernels& set) noexcept;

} // namespace talaria::kernels
