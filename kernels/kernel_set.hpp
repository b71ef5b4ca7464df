#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include "core/integers.hpp"
#include "kernels/modulus.hpp"
#include "kernels/ntt_plan.hpp"
#include "kernels/packed_weights.hpp"
#include "kernels/product_kernels.hpp"
#include "kernels/word_rounding.hpp"

namespace talaria::kernels {

/// Queries of one attention (kernels/attention.hpp).
inline constexpr std::size_t kMaxQueries = 64;

/// Most vectors that one row is multiplied by in one pass (KernelSet::row_dots).
inline constexpr std::size_t kMaxCheckVectors = 3;

/// Vectors z of one length with numbers in [0, q): the first `count` of them, two or three.
struct CheckVectors {
  std::array<const u64*, kMaxCheckVectors> z{};
  std::size_t count = 2;

  /// The same from number `first` on.
  [[gnu::always_inline]] CheckVectors from(std::size_t first) const {
    CheckVectors rest = *this;
    for (std::size_t v = 0; v < count; ++v) rest.z[v] += first;
    return rest;
  }
};

/// See KernelSet::row_dots. Sums beyond CheckVectors::count are 0.
struct RowDots {
  std::array<u64, kMaxCheckVectors> words{};    ///< sum_i word[i] z[i] mod q
  std::array<u64, kMaxCheckVectors> integers{}; ///< sum_i x[i] z[i] mod q
  bool below = true;                            ///< every word is below q

  bool operator==(const RowDots&) const = default;
};

/// The arithmetic of one SIMD target: one entry of the dispatch table. What multiplies by weights
/// is in ProductKernels, all that workers have.
///
/// Floating-point operations follow one canonical order,
/// whatever the vector width: **a sum over i of f(i) has 16 virtual lanes; lane l takes i = l, l +
/// 16, ... in order by fused multiply-add, starting from +0, and the lanes are folded 8 apart, then
/// 4, 2, 1** (s[l] += s[l + 8] for l < 8, and so on). Elementwise operations are the written
/// sequence of individually rounded operations.
struct KernelSet : ProductKernels {
  // --- residues: the enclave's side of the lattice scheme
  // -------------------------------------------

  /// out[i] = (x[i] 2^delta_bits + u[i]) mod q as words, i < n: one masked row. x may be any i32
  /// with |x[i]| 2^delta_bits < q/2.  u and out: n words of q.word_bytes. `u` may be null: no mask.
  void (*mask_row)(const i32* x, const u8* u, u8* out, std::size_t n, int delta_bits,
                   const Modulus& q);
  /// r[i] = round([y[i] - v[i]]_q / 2^delta_bits), halves upward: floor((c + 2^(delta_bits-1)) >>
  /// delta_bits) of the centred representative c in (-q/2, q/2]. delta_bits may be 0 (then r = c),
  /// `v` may be null.
  void (*decode_row)(const u8* y, const u8* v, i64* r, std::size_t n, int delta_bits,
                     const Modulus& q);
  /// Freivalds' inner products of one row, all in one pass: of n words of q.word_bytes, whatever
  /// they hold, and of n integers below q in magnitude, each with every z. n < 2^22.
  /// `words` or `x` may be null: then their part is left as it begins.
  RowDots (*row_dots)(const u8* words, const i64* x, const CheckVectors& z, std::size_t n,
                      const Modulus& q);
  /// The same of shorter integers: those that mask_row takes.
  RowDots (*row_dots32)(const u8* words, const i32* x, const CheckVectors& z, std::size_t n,
                        const Modulus& q);

  /// Forward transform of eight polynomials at a time: x is [N][8], coefficient r of polynomial c
  /// at x[8 r + c], values in [0, q) before and after; order as in NttPlan. x is 64-byte aligned.
  void (*ntt_forward8)(const NttPlan& plan, u64* x);
  /// Inverse of ntt_forward8, including the factor 1/N.
  void (*ntt_inverse8)(const NttPlan& plan, u64* x);
  /// Eight columns of `secrets` mask blocks: out = INTT(sum_kappa s[kappa] o B[kappa]), with one
  /// reading of B for all.
  ///   s    [N][k][secrets]   secrets in NTT form, values in [0, q)
  ///   b    [N][k][8]         words of q.word_bytes (A or hint, NTT form): the tile layout of remo/
  ///   out  [secrets][N][8]   coefficients in [0, q), 64-byte aligned
  void (*mask_tile)(const NttPlan& plan, const u64* s, std::size_t secrets, const u8* b,
                    std::size_t k, u64* out);

  /// Rows of a mask block from up to eight tiles: out row r = words of tiles[t][r][c] +
  /// errors[r][8 t + c] mod q for the columns 8 t + c < columns <= 64, r < N; rounded to words mod
  /// p if `to` says so.
  ///   tiles   [N][8] coefficients in [0, q) each, `tile_stride` numbers apart, 64-byte aligned;
  ///   eight
  ///           are readable
  ///   errors  [N][64] in [-q/2, q/2], or null: none
  ///   out     N rows, `stride` bytes apart. Where rows are aligned to cache lines and columns = 64
  ///           they may bypass the caches, as they will be read much later.
  void (*mask_rows)(const u64* tiles, std::size_t tile_stride, const i8* errors, std::size_t n,
                    std::size_t columns, u8* out, std::size_t stride, const WordRounding& to);

  /// Centred binomial errors with eta = 21 from uniform bytes, in constant time:
  ///   w = 6-byte little-endian word i of `bytes`; out[i] = popcount(w & (2^21-1)) - popcount(w >>
  ///   21 & (2^21-1))
  void (*centered_binomial21)(const u8* bytes, i8* out, std::size_t n);

  /// n residues in [0, q) to words and back.
  void (*pack_words)(const u64* x, u8* out, std::size_t n, const Modulus& q);
  void (*unpack_words)(const u8* in, u64* out, std::size_t n, const Modulus& q);

  // --- checks of products, in the enclave
  // ---------------------------------------------------------------------------

  /// sums[i / 4][h][i % 4] += sum_j W[i][j] half_h(z[j]) for all i < 4 groups and the columns j of
  /// the panels [panel_begin, panel_end): the halves are z mod 2^27 and z >> 27.
  /// sums: [w.groups()][2][4]; z: [d_out], below 2^54; d_out < 2^24. Exact; see weight_dot.
  void (*weight_dot_halves)(const PackedWeights& w, const u64* z, i64* sums,
                            std::size_t panel_begin, std::size_t panel_end);

  // --- fp32 in the enclave
  // ---------------------------------------------------------------------------

  float (*sum_squares)(const float* x, std::size_t n); ///< canonical 16-lane sum of x[i]^2
  float (*dot)(const float* a, const float* b,
               std::size_t n); ///< canonical 16-lane sum of a[i] b[i]
  /// out[i] = x[i] s, or (x[i] s) gain[i] if gain is not null, with
  /// s = 1 / sqrt(sum_squares(x) / n + eps). In place allowed.
  void (*rms_norm)(const float* x, const float* gain, float* out, std::size_t n, float eps);
  /// out[i] = (g / (1 + exp(-g))) u with g = gate[i], u = up[i]; exp as below. In place allowed.
  void (*silu_mul)(const float* gate, const float* up, float* out, std::size_t n);
  // The steps of attention (kernels/attention.hpp) for up to kMaxQueries queries over a piece of
  // the keys and values of one head, query i over the first counts[i] >= 0 positions of it.

  /// scores[i stride + p] = dot(q[i], k[p]) scale for p < counts[i]; nothing else is written.
  ///   q: one pointer per query, [head_dim];  k: [largest count][head_dim]
  void (*attend_scores)(const float* const* q, const std::size_t* counts, std::size_t queries,
                        const float* k, std::size_t head_dim, float scale, float* scores,
                        std::size_t stride);
  /// w[p] = exp(w[p] - m) with the largest m of them, p < count, count >= 1. Returns the canonical
  /// 16-lane sum of the new ones.
  float (*softmax_weights)(float* w, std::size_t count);
  /// out[i][d] += weights[i stride + p] v[p][d], p < counts[i] in order by fma.
  ///   v: [largest count][head_dim];  out: one pointer per query, [head_dim]
  void (*attend_values)(const float* weights, std::size_t stride, const std::size_t* counts,
                        std::size_t queries, const float* v, std::size_t head_dim,
                        float* const* out);
  void (*widen_bf16)(const u16* x, float* out, std::size_t n); ///< the upper half of an fp32
  /// out[i] = ((float) x[i]) scale
  void (*widen_i8)(const i8* x, float scale, float* out, std::size_t n);
  /// Rotates one head in place (rotate_half): for i < n/2, a = x[i], b = x[i + n/2]:
  ///   x[i] = fma(a, cos[i], -(b sin[i])),  x[i + n/2] = fma(b, cos[i], a sin[i]).
  void (*rope)(float* x, const float* cos, const float* sin, std::size_t n);
  /// out[i] = (i32) rint(x[i] scale), ties to even; |x[i] scale| < 2^30. Returns sum of out[i]^2.
  u64 (*quantize_row)(const float* x, float scale, i32* out, std::size_t n);
  /// out[j] = ((float) r[j] row_scale) column_scale[j]; then + bias[j] if bias is not null; then
  /// + residual[j] if residual is not null. r converts to float by round-to-nearest-even. `out` may
  /// be `residual`.
  void (*dequantize_row)(const i64* r, float row_scale, const float* column_scale,
                         const float* bias, const float* residual, float* out, std::size_t n);

  // --- secret rows of a public table
  // ---------------------------------------------------------------------------

  /// out[i] |= row ids[i] of a table, for every i < count with first <= ids[i] < first + rows, by
  /// one pass over these rows of it. Neither an address nor a branch depends on `ids`.
  ///   table  [rows][row_bytes], its row 0 is the one called `first`;  out  [count][row_bytes]
  void (*select_rows)(const u8* table, std::size_t first, std::size_t rows, std::size_t row_bytes,
                      const u32* ids, std::size_t count, u8* out);
};

/// Every SIMD target built into this program, best first; the last is "reference", which needs
/// nothing.
std::span<const KernelSet> kernel_sets() noexcept;

/// The best SIMD target this CPU runs, or the one called `forced` if that is not empty. Before it
/// is returned for the first time it has to reproduce known answers: a wrong kernel must never
/// touch a secret.
/// @throws Error{usage} if `forced` is unknown or cannot run here; Error{internal} if a target
/// fails its check.
const KernelSet& select_kernels(std::string_view forced = {});

/// The SIMD target in use by the whole process: select_kernels(getenv("TALARIA_ISA")) unless
/// set_active_kernels came first.
const KernelSet& active_kernels();
/// Chooses the SIMD target for the process (command line `--isa`), active_product_kernels() with
/// it; call before any work starts.
void set_active_kernels(const KernelSet& set) noexcept;

/// exp(x) as every target computes it: x clamped to [-104, 88.72], n = rint(x log2 e), r = fma(-n,
/// ln2_hi, x), r = fma(-n, ln2_lo, r), polynomial in r by Horner with fma, times 2^n exactly in two
/// factors. Below -87.3 results may be subnormal or zero, the same on every target. Relative error
/// < 2 ulp.
float canonical_exp(float x) noexcept;
/// cos and sin of position * frequency[i], the angle rounded to fp32 first (as transformers does),
/// then evaluated in double and rounded once: the same everywhere. i < n.
void rope_angles(u32 position, const float* frequency, std::size_t n, float* cos,
                 float* sin) noexcept;

/// t[i] = sum_j W[i][j] z[j] mod q for all i < d_in: the integrity vector (docs/protocol.md,
/// Loading a matrix). z in [0, q), d_out < 2^24.
void weight_dot(const PackedWeights& w, const u64* z, u64* t, const Modulus& q);
/// The same sum over the columns of the panels [panel_begin, panel_end) only. z: [d_out].
void weight_dot(const PackedWeights& w, const u64* z, u64* t, const Modulus& q,
                std::size_t panel_begin, std::size_t panel_end);
/// The largest Euclidean norm of a column of W, rounded up.
double max_column_norm(const PackedWeights& w);

} // namespace talaria::kernels
