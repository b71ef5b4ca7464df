#include "model/weights/quantized.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "core/error.hpp"
#include "model/weights/tensor_names.hpp"

namespace talaria::model {

namespace {

constexpr u32 kInfinityBits = 0x7f800000u;
// Sixteen columns of four inputs fill one 64-byte line of the packed layout.
constexpr std::size_t kBlock = 16;
static_assert(kernels::PackedWeights::kPanel % kBlock == 0);

constexpr int largest(WeightFormat format) {
  return format == WeightFormat::int8 ? 127 : 32639;
}

/// One weight tensor while its rows are quantised.
struct Rows {
  TensorReader& tensor;
  std::span<const float> gain; ///< empty: 1
  std::string gain_name;
};

/// Multiplies the gain in, rounding once, and returns the largest magnitude of the row.
float fold_gain(const Rows& rows, std::size_t row, std::span<float> w) {
  for (std::size_t i = 0; i < rows.gain.size(); ++i) w[i] = rows.gain[i] * w[i];
  // The bits of a non-negative float sort like the float, with infinity and NaN above all numbers.
  u32 top = 0;
  for (const float x : w) top = std::max(top, std::bit_cast<u32>(x) & 0x7fffffffu);
  if (top < kInfinityBits) return std::bit_cast<float>(top);

  const std::size_t first = row * w.size();
  std::vector<float> raw(w.size());
  const TensorView& tensor = rows.tensor.tensor();
  rows.tensor.read(first, raw);
  require_finite(raw, tensor, first);
  const auto bad = std::find_if(w.begin(), w.end(), [](float x) { return !std::isfinite(x); });
  throw Error(Errc::model,
              fmt::format("{}: tensor {}: element {} overflows fp32 when {} is folded in",
                          tensor.file, tensor.name, first + (bad - w.begin()), rows.gain_name));
}

/// rint(w / scale), ties to even, clamped to +-limit, in double: the quotient of two floats and the
/// sum below are the same on every machine. Clamping matters only where `scale` is subnormal.
void round_row(std::span<const float> w, float scale, int limit, i32* out) {
  if (scale == 0) {
    std::fill_n(out, w.size(), 0);
    return;
  }
  // Adding 1.5 2^52 leaves the rounded integer in the low bits of the mantissa.
  constexpr double kShift = 6755399441055744.0;
  const double divisor = scale;
  const double bound = limit;
  for (std::size_t i = 0; i < w.size(); ++i) {
    double x = static_cast<double>(w[i]) / divisor;
    x = x < bound ? x : bound;
    x = x > -bound ? x : -bound;
    out[i] = static_cast<i32>(static_cast<u32>(std::bit_cast<u64>(x + kShift)));
  }
}

/// Quantises up to kBlock rows of a tensor at a time and lays them into their columns.
class Quantiser {
public:
  Quantiser(QuantizedLinear& linear)
      : linear_(linear), padded_(linear.columns.groups() * 4), row_(linear.d_in),
        integers_(linear.d_in), high_(padded_ * kBlock), low_(padded_ * kBlock) {}

  /// Rows [0, tensor rows) become the columns from `column` on.
  void add(const Rows& rows, std::size_t column) {
    const std::size_t count = rows.tensor.tensor().shape[0];
    for (std::size_t at = 0; at < count; at += kBlock) {
      const std::size_t block = std::min(kBlock, count - at);
      for (std::size_t k = 0; k < block; ++k) quantise(rows, at + k, column + at + k, k);
      place(high_, column + at, block);
      if (linear_.format == WeightFormat::int16) place(low_, linear_.d_out + column + at, block);
    }
  }

private:
  void quantise(const Rows& rows, std::size_t row, std::size_t column, std::size_t k) {
    const int limit = largest(linear_.format);
    rows.tensor.read(row * linear_.d_in, row_);
    const float scale = fold_gain(rows, row, row_) / static_cast<float>(limit);
    linear_.scale[column] = scale;
    round_row(row_, scale, limit, integers_.data());
    i8* high = high_.data() + k * padded_;
    if (linear_.format == WeightFormat::int8) {
      for (std::size_t i = 0; i < linear_.d_in; ++i) high[i] = static_cast<i8>(integers_[i]);
      return;
    }
    i8* low = low_.data() + k * padded_;
    for (std::size_t i = 0; i < linear_.d_in; ++i) {
      const i32 value = integers_[i];
      const i32 rest = ((value + 128) & 255) - 128;
      low[i] = static_cast<i8>(rest);
      high[i] = static_cast<i8>((value - rest) >> 8);
    }
  }

  /// Groups outermost, so that the 64-byte lines of the packed layout are written one after
  /// another.
  void place(const std::vector<i8>& bytes, std::size_t column, std::size_t block) {
    std::array<i8*, kBlock> target{};
    for (std::size_t k = 0; k < block; ++k) target[k] = &linear_.columns.at(0, column + k);
    constexpr std::size_t kGroup = kernels::PackedWeights::kPanel * 4;
    for (std::size_t g = 0; g < linear_.columns.groups(); ++g)
      for (std::size_t k = 0; k < block; ++k)
        std::memcpy(target[k] + g * kGroup, bytes.data() + k * padded_ + g * 4, 4);
  }

  QuantizedLinear& linear_;
  std::size_t padded_;
  std::vector<float> row_;
  std::vector<i32> integers_;
  std::vector<i8> high_; ///< [kBlock][padded_]; int8 weights, or the upper halves
  std::vector<i8> low_;
};

} // namespace

QuantizedLinear load_linear(const TensorStore& store, const arch::Linear& wanted,
                            WeightFormat format) {
  QuantizedLinear linear;
  linear.id = wanted.id;
  linear.format = format;
  linear.d_in = wanted.d_in;
  linear.d_out = wanted.d_out;

  // Everything is looked up before the large allocation.
  std::vector<const TensorView*> tensors;
  for (const arch::LinearPart& part : wanted.parts)
    tensors.push_back(&store.get(part.base + ".weight", {part.rows, linear.d_in}));
  const std::string& gain_name = wanted.gain.tensor;
  std::vector<float> gain;
  if (!gain_name.empty()) gain = read_gain(store, gain_name, wanted.gain.plus_one, linear.d_in);

  linear.columns = kernels::PackedWeights(linear.d_in, columns_of(wanted, format));
  linear.scale.resize(linear.d_out);
  Quantiser quantiser(linear);
  std::size_t column = 0;
  for (const TensorView* tensor : tensors) {
    TensorReader reader(*tensor);
    quantiser.add(Rows{reader, gain, gain_name}, column);
    column += tensor->shape[0];
  }
  if (wanted.multiplier != 1)
    for (float& scale : linear.scale) scale *= wanted.multiplier;
  return linear;
}

const char* to_string(WeightFormat format) noexcept {
  return format == WeightFormat::int8 ? "int8" : "int16";
}

WeightFormat parse_weight_format(std::string_view text) {
  if (text == "int8") return WeightFormat::int8;
  if (text == "int16") return WeightFormat::int16;
  throw Error(Errc::usage, fmt::format("weights \"{}\"; expected int8 or int16", text));
}

Sha256Digest digest(const QuantizedLinear& linear) {
  // Little-endian: id (4 bytes), format (1), d_in (8), d_out (8); then the packed bytes, padding
  // too.
  Sha256 hash;
  const auto number = [&hash](u64 value, std::size_t bytes) {
    std::array<u8, 8> out{};
    for (std::size_t i = 0; i < bytes; ++i) out[i] = static_cast<u8>(value >> (8 * i));
    hash.update(std::span<const u8>(out).first(bytes));
  };
  number(linear.id.value, 4);
  number(static_cast<u8>(linear.format), 1);
  number(linear.d_in, 8);
  number(linear.d_out, 8);
  if (linear.columns.bytes() > 0)
    hash.update({reinterpret_cast<const u8*>(linear.columns.panel(0)), linear.columns.bytes()});
  return hash.finish();
}

} // namespace talaria::model
