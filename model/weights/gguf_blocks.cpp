#include "model/weights/gguf_blocks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

#include "model/weights/safetensors.hpp"

namespace talaria::model {

namespace {

float half_at(const u8* from) {
  float out = 0;
  widen(Dtype::f16, from, {&out, 1});
  return out;
}

template <Dtype dtype>
void decode_plain(const u8* from, std::size_t count, float* out) {
  widen(dtype, from, {out, count});
}

// Each of these is one block. The order of multiplications and roundings is part of the format.

/// d; 32 int8: d q
void block_q8_0(const u8* from, float* out) {
  const float d = half_at(from);
  for (std::size_t i = 0; i < 32; ++i)
    out[i] = d * static_cast<float>(static_cast<i8>(from[2 + i]));
}

/// d; low nibbles are values 0..15, high ones 16..31: d (q - 8)
void block_q4_0(const u8* from, float* out) {
  const float d = half_at(from);
  for (std::size_t i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>((from[2 + i] & 15) - 8);
    out[16 + i] = d * static_cast<float>((from[2 + i] >> 4) - 8);
  }
}

/// d, m; nibbles as above: d q + m
void block_q4_1(const u8* from, float* out) {
  const float d = half_at(from);
  const float m = half_at(from + 2);
  for (std::size_t i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>(from[4 + i] & 15) + m;
    out[16 + i] = d * static_cast<float>(from[4 + i] >> 4) + m;
  }
}

/// The five bits of value i: a nibble, and bit i of the four bytes at `high`.
u32 five_bits(const u8* high, const u8* nibbles, std::size_t i) {
  const u32 low = i < 16 ? nibbles[i] & 15u : nibbles[i - 16] >> 4;
  return low | (high[i / 8] >> (i % 8) & 1u) << 4;
}

/// d; 32 upper bits; nibbles: d (q - 16)
void block_q5_0(const u8* from, float* out) {
  const float d = half_at(from);
  for (std::size_t i = 0; i < 32; ++i)
    out[i] = d * static_cast<float>(static_cast<i32>(five_bits(from + 2, from + 6, i)) - 16);
}

/// d, m; 32 upper bits; nibbles: d q + m
void block_q5_1(const u8* from, float* out) {
  const float d = half_at(from);
  const float m = half_at(from + 2);
  for (std::size_t i = 0; i < 32; ++i)
    out[i] = d * static_cast<float>(five_bits(from + 4, from + 8, i)) + m;
}

/// The scale and the minimum (6 bits each) of group `g` of eight, out of the 12 bytes at `packed`.
std::pair<u32, u32> scale_and_minimum(const u8* packed, std::size_t g) {
  if (g < 4) return {packed[g] & 63u, packed[g + 4] & 63u};
  return {(packed[g + 4] & 15u) | static_cast<u32>(packed[g - 4] >> 6) << 4,
          static_cast<u32>(packed[g + 4] >> 4) | static_cast<u32>(packed[g] >> 6) << 4};
}

/// d, dmin; 12 bytes of scales and minima; 128 bytes of nibbles: eight groups of 32,
/// d scale q - dmin minimum. Bytes 32 i.. hold group 2i low, 2i + 1 high.
void block_q4_k(const u8* from, float* out) {
  const float d = half_at(from);
  const float dmin = half_at(from + 2);
  for (std::size_t g = 0; g < 8; ++g) {
    const auto [scale, minimum] = scale_and_minimum(from + 4, g);
    const float step = d * static_cast<float>(scale);
    const float base = dmin * static_cast<float>(minimum);
    const u8* const nibbles = from + 16 + 32 * (g / 2);
    for (std::size_t i = 0; i < 32; ++i) {
      const u32 q = g % 2 == 0 ? nibbles[i] & 15u : nibbles[i] >> 4;
      out[32 * g + i] = step * static_cast<float>(q) - base;
    }
  }
}

/// The same with 32 bytes of fifth bits before the nibbles: bit g of byte i is that of value i of
/// group g.
void block_q5_k(const u8* from, float* out) {
  const float d = half_at(from);
  const float dmin = half_at(from + 2);
  for (std::size_t g = 0; g < 8; ++g) {
    const auto [scale, minimum] = scale_and_minimum(from + 4, g);
    const float step = d * static_cast<float>(scale);
    const float base = dmin * static_cast<float>(minimum);
    const u8* const nibbles = from + 48 + 32 * (g / 2);
    for (std::size_t i = 0; i < 32; ++i) {
      const u32 low = g % 2 == 0 ? nibbles[i] & 15u : nibbles[i] >> 4;
      const u32 q = low | (from[16 + i] >> g & 1u) << 4;
      out[32 * g + i] = step * static_cast<float>(q) - base;
    }
  }
}

/// 128 bytes of low nibbles, 64 of upper bit pairs, 16 int8 scales, d: d scale (q - 32), one scale
/// for 16 values. Each half of 128 values is four rows of 32.
void block_q6_k(const u8* from, float* out) {
  const float d = half_at(from + 208);
  for (std::size_t i = 0; i < 256; ++i) {
    const std::size_t half = i / 128;
    const std::size_t row = i % 128 / 32;
    const std::size_t column = i % 32;
    const u8 nibbles = from[64 * half + 32 * (row % 2) + column];
    const u32 low = row < 2 ? nibbles & 15u : nibbles >> 4;
    const u32 high = from[128 + 32 * half + column] >> (2 * row) & 3u;
    const float step = d * static_cast<float>(static_cast<i8>(from[192 + i / 16]));
    out[i] = step * static_cast<float>(static_cast<i32>(low | high << 4) - 32);
  }
}

/// An exponent; 16 bytes of four-bit floats: 2^(e - 127) fp4
void block_mxfp4(const u8* from, float* out) {
  constexpr std::array<float, 16> kValues{0, 0.5f,  1,  1.5f,  2,  3,  4,  6,
                                          0, -0.5f, -1, -1.5f, -2, -3, -4, -6};
  const float scale = std::ldexp(1.0f, int{from[0]} - 127);
  for (std::size_t i = 0; i < 16; ++i) {
    out[i] = scale * kValues[from[1 + i] & 15];
    out[16 + i] = scale * kValues[from[1 + i] >> 4];
  }
}

template <void (*block)(const u8*, float*), std::size_t values, std::size_t bytes>
void decode_blocks(const u8* from, std::size_t count, float* out) {
  for (std::size_t i = 0; i < count; ++i) block(from + i * bytes, out + i * values);
}

template <void (*block)(const u8*, float*), std::size_t values, std::size_t bytes>
constexpr GgufType blocks(u32 id, const char* name) {
  return {id, name, values, bytes, decode_blocks<block, values, bytes>};
}

constexpr GgufType kTypes[] = {
    {0, "F32", 1, 4, decode_plain<Dtype::f32>},    {1, "F16", 1, 2, decode_plain<Dtype::f16>},
    {30, "BF16", 1, 2, decode_plain<Dtype::bf16>}, blocks<block_q8_0, 32, 34>(8, "Q8_0"),
    blocks<block_q4_0, 32, 18>(2, "Q4_0"),         blocks<block_q4_1, 32, 20>(3, "Q4_1"),
    blocks<block_q5_0, 32, 22>(6, "Q5_0"),         blocks<block_q5_1, 32, 24>(7, "Q5_1"),
    blocks<block_q4_k, 256, 144>(12, "Q4_K"),      blocks<block_q5_k, 256, 176>(13, "Q5_K"),
    blocks<block_q6_k, 256, 210>(14, "Q6_K"),      blocks<block_mxfp4, 32, 17>(39, "MXFP4"),
};

/// Names of those that are not read.
constexpr std::pair<u32, const char*> kOthers[] = {
    {9, "Q8_1"},    {10, "Q2_K"},    {11, "Q3_K"},  {15, "Q8_K"},   {16, "IQ2_XXS"},
    {17, "IQ2_XS"}, {18, "IQ3_XXS"}, {19, "IQ1_S"}, {20, "IQ4_NL"}, {21, "IQ3_S"},
    {22, "IQ2_S"},  {23, "IQ4_XS"},  {24, "I8"},    {25, "I16"},    {26, "I32"},
    {27, "I64"},    {28, "F64"},     {29, "IQ1_M"}, {34, "TQ1_0"},  {35, "TQ2_0"},
};

} // namespace

const GgufType* find_gguf_type(u32 id) {
  for (const GgufType& type : kTypes)
    if (type.id == id) return &type;
  return nullptr;
}

std::string gguf_type_name(u32 id) {
  if (const GgufType* const type = find_gguf_type(id)) return type->name;
  for (const auto& [other, name] : kOthers)
    if (other == id) return name;
  return fmt::format("number {}", id);
}

std::string known_gguf_types() {
  std::string list;
  for (const GgufType& type : kTypes) list += (list.empty() ? "" : ", ") + std::string(type.name);
  return list;
}

} // namespace talaria::model
