#include "model/weights/quantized.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "core/error.hpp"
#include "model/weights/matrix_rows.hpp"
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

/// Rows of a matrix while they are quantised: of one tensor, or of several side by side.
struct Rows {
  std::vector<MatrixRows> tensors;
  std::size_t first_input = 0; ///< of the only tensor; the inputs that it does not have count 0
  std::vector<float> gain;     ///< of all inputs; empty: 1
  std::string gain_name;

  std::size_t count() const { return tensors.front().count(); }
  void read(std::size_t row, std::span<float> out) {
    std::size_t at = first_input;
    std::fill(out.begin(), out.end(), 0.0f);
    for (MatrixRows& rows : tensors) {
      rows.read(row, out.subspan(at, rows.width()));
      at += rows.width();
    }
  }
};

/// Row `row` holds NaN or infinity, or does once the gain is folded in.
[[noreturn]] void refuse_row(Rows& rows, std::size_t row, std::span<const float> w) {
  std::vector<float> raw(w.size());
  rows.read(row, raw);
  std::size_t at = rows.first_input;
  for (const MatrixRows& part : rows.tensors) {
    part.require_finite_row(row, std::span(raw).subspan(at, part.width()));
    at += part.width();
  }
  const TensorView& tensor = rows.tensors.front().tensor(); // gains are folded into single tensors
  const auto bad = std::find_if(w.begin(), w.end(), [](float x) { return !std::isfinite(x); });
  throw Error(Errc::model,
              fmt::format("{}: tensor {}: element {} overflows fp32 when {} is folded in",
                          tensor.file, tensor.name,
                          row * w.size() + static_cast<std::size_t>(bad - w.begin()),
                          rows.gain_name));
}

/// Multiplies the gain in, rounding once, and returns the largest magnitude of the row.
float fold_gain(Rows& rows, std::size_t row, std::span<float> w) {
  for (std::size_t i = 0; i < rows.gain.size(); ++i) w[i] = rows.gain[i] * w[i];
  // The bits of a non-negative float sort like the float, with infinity and NaN above all numbers.
  u32 top = 0;
  for (const float x : w) top = std::max(top, std::bit_cast<u32>(x) & 0x7fffffffu);
  if (top < kInfinityBits) return std::bit_cast<float>(top);
  refuse_row(rows, row, w);
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

/// The smallest power of two that is not below `x`.
float power_of_two_from(float x) {
  if (x == 0) return 0;
  int exponent = 0;
  const float fraction = std::frexp(x, &exponent); // in [1/2, 1)
  return std::ldexp(1.0F, fraction == 0.5F ? exponent - 1 : exponent);
}

/// Quantises up to kBlock rows of a tensor at a time and lays them into their columns.
class Quantiser {
public:
  Quantiser(QuantizedLinear& linear, bool binary_scales)
      : linear_(linear), binary_scales_(binary_scales && linear.format == WeightFormat::int16),
        padded_(linear.columns.groups() * 4), row_(linear.d_in), integers_(linear.d_in),
        high_(padded_ * kBlock), low_(padded_ * kBlock) {}

  /// All rows become the columns from `column` on.
  void add(Rows& rows, std::size_t column) {
    const std::size_t count = rows.count();
    for (std::size_t at = 0; at < count; at += kBlock) {
      const std::size_t block = std::min(kBlock, count - at);
      for (std::size_t k = 0; k < block; ++k) quantise(rows, at + k, column + at + k, k);
      place(high_, column + at, block);
      if (linear_.format == WeightFormat::int16) place(low_, linear_.d_out + column + at, block);
    }
  }

private:
  void quantise(Rows& rows, std::size_t row, std::size_t column, std::size_t k) {
    const int limit = largest(linear_.format);
    rows.read(row, row_);
    float scale = fold_gain(rows, row, row_) / static_cast<float>(limit);
    if (binary_scales_) scale = power_of_two_from(scale);
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
  bool binary_scales_;
  std::size_t padded_;
  std::vector<float> row_;
  std::vector<i32> integers_;
  std::vector<i8> high_; ///< [kBlock][padded_]; int8 weights, or the upper halves
  std::vector<i8> low_;
};

/// The gain of the inputs that a part has, in its place among all.
void add_gain(const TensorStore& store, const arch::Linear& linear, const arch::LinearPart& part,
              Rows& rows) {
  const bool own = part.inputs != 0;
  const arch::FoldedGain& gain = own ? part.gain : linear.gain;
  if (gain.tensor.empty()) return;
  const auto values = read_gain(store, gain.tensor, gain.plus_one, own ? part.inputs : linear.d_in);
  rows.gain.assign(linear.d_in, 1.0f);
  std::copy(values.begin(), values.end(),
            rows.gain.begin() + static_cast<std::ptrdiff_t>(part.first_input));
  rows.gain_name = gain.tensor;
}

/// Blocks of outputs, one after the other.
std::vector<Rows> rows_of(const TensorStore& store, const arch::Linear& linear) {
  std::vector<Rows> blocks;
  for (const arch::LinearPart& part : linear.parts) {
    MatrixRows rows = linear.by_inputs ? MatrixRows(store, part, linear.d_out, part.size)
                                       : MatrixRows(store, part, part.size,
                                                    part.inputs != 0 ? part.inputs : linear.d_in);
    if (!linear.by_inputs || blocks.empty()) {
      blocks.emplace_back().first_input = part.first_input;
      add_gain(store, linear, part, blocks.back());
    }
    blocks.back().tensors.push_back(std::move(rows));
  }
  return blocks;
}

} // namespace

QuantizedLinear load_linear(const TensorStore& store, const arch::Linear& wanted,
                            WeightFormat format) {
  QuantizedLinear linear;
  linear.id = wanted.id;
  linear.format = format;
  linear.d_in = wanted.d_in;
  linear.d_out = wanted.d_out;

  // Everything is looked up before the large allocation.
  std::vector<Rows> blocks = rows_of(store, wanted);
  linear.columns = kernels::PackedWeights(linear.d_in, columns_of(wanted, format));
  linear.scale.resize(linear.d_out);
  Quantiser quantiser(linear, wanted.binary_scales);
  std::size_t column = 0;
  for (Rows& rows : blocks) {
    quantiser.add(rows, column);
    column += rows.count();
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
