#pragma once

#include <cstddef>

#include "core/integers.hpp"
#include "kernels/kernel_set.hpp"

/// AVX-512 with IFMA, VBMI, VNNI and VPOPCNTDQ: eight residues or sixteen floats at a time.
/// Contracts are those of the members of KernelSet with the same names.
namespace talaria::kernels::avx512 {

// residue.cpp
void mask_row(const i32* x, const u8* u, u8* out, std::size_t n, int delta_bits, const Modulus& q);
void decode_row(const u8* y, const u8* v, i64* r, std::size_t n, int delta_bits, const Modulus& q);
RowDots row_dots(const u8* words, const i64* x, const u64* z0, const u64* z1, std::size_t n,
                 const Modulus& q);
RowDots row_dots32(const u8* words, const i32* x, const u64* z0, const u64* z1, std::size_t n,
                   const Modulus& q);
void mask_rows(const u64* tiles, std::size_t tile_stride, const i8* errors, std::size_t n,
               std::size_t columns, u8* out, std::size_t stride, const Modulus& q);
void centered_binomial21(const u8* bytes, i8* out, std::size_t n);
void pack_words(const u64* x, u8* out, std::size_t n, const Modulus& q);
void unpack_words(const u8* in, u64* out, std::size_t n, const Modulus& q);

// ntt.cpp
void ntt_forward8(const NttPlan& plan, u64* x);
void ntt_inverse8(const NttPlan& plan, u64* x);
void mask_tile(const NttPlan& plan, const u64* s, std::size_t secrets, const u8* b, std::size_t k,
               u64* out);

// product.cpp
void residue_product(const u8* c, std::size_t rows, const PackedWeights& w, const Modulus& q, u8* y,
                     std::size_t panel_begin, std::size_t panel_end);
void float_product(const float* c, std::size_t rows, const PackedWeights& w, float* y,
                   std::size_t panel_begin, std::size_t panel_end);
void weight_dot_halves(const PackedWeights& w, const u64* z, i64* sums);

// plain_product.cpp
void plain_product(const i8* x, std::size_t rows, const PackedWeights& w, i32* y,
                   std::size_t panel_begin, std::size_t panel_end);

// floating.cpp
float sum_squares(const float* x, std::size_t n);
float dot(const float* a, const float* b, std::size_t n);
void rms_norm(const float* x, const float* gain, float* out, std::size_t n, float eps);
void silu_mul(const float* gate, const float* up, float* out, std::size_t n);
void attend(const float* q, const float* k, const float* v, std::size_t count, std::size_t head_dim,
            float scale, float* scratch, float* out);
void attend_block(const float* const* q, const std::size_t* counts, std::size_t queries,
                  const float* k, const float* v, std::size_t head_dim, float scale, float* scratch,
                  float* const* out);
void rope(float* x, const float* cos, const float* sin, std::size_t n);
u64 quantize_row(const float* x, float scale, i32* out, std::size_t n);
void dequantize_row(const i64* r, float row_scale, const float* column_scale, const float* bias,
                    const float* residual, float* out, std::size_t n);

} // namespace talaria::kernels::avx512
