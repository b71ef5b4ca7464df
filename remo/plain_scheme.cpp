#include "remo/plain_scheme.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "kernels/kernel_set.hpp"

namespace talaria::remo {
namespace {

constexpr std::size_t kInputLimit = std::size_t{1} << 17; // of KernelSet::plain_product
constexpr float kLargest = 127;

/// max |x[i]| as bits: those of non-negative floats sort like the floats, NaN above all.
i32 largest_bits(const float* x, std::size_t n) {
  i32 top = 0;
  for (std::size_t i = 0; i < n; ++i) top = std::max(top, std::bit_cast<i32>(x[i]) & 0x7fffffff);
  return top;
}

/// Rounds a row to integers in [-127, 127] and returns its quantization scale, such that x[i] is
/// about out[i] times it; 0 for a zero row. `wide` is scratch.
float quantize_int8(const float* x, std::size_t n, const std::string& name, i32* wide, i8* out) {
  const auto largest = std::bit_cast<float>(largest_bits(x, n));
  if (!std::isfinite(largest)) throw Error(Errc::internal, name + ": an activation is not finite");
  const float scale = kLargest / largest;
  if (largest > 0x1p-100f && largest < 0x1p100f) { // scale and its inverse are normal numbers
    kernels::active_kernels().quantize_row(x, scale, wide, n);
    for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<i8>(wide[i]);
    return 1 / scale;
  }
  for (std::size_t i = 0; i < n; ++i)
    out[i] = largest == 0 ? i8{0}
                          : static_cast<i8>(std::lrint(static_cast<double>(x[i]) * kLargest /
                                                       static_cast<double>(largest)));
  return largest / kLargest;
}

} // namespace

class PlainLinear::PlainOpening final : public Opening {
public:
  PlainOpening(const PlainLinear* linear, std::size_t row_count)
      : Opening(linear), row_scales(row_count) {}
  std::size_t rows() const noexcept override { return row_scales.size(); }

  std::vector<float> row_scales;
};

Masked PlainLinear::mask(MatrixView<const float> x, std::vector<MaskRow>) const {
  record_.check_input(x, x.rows);
  auto opening = std::make_unique<PlainOpening>(this, x.rows);
  auto bytes = std::make_shared<AlignedBuffer<u8>>(x.rows * record_.d_in, Unwritten{});
  std::vector<i32> wide(record_.d_in);
  for (std::size_t r = 0; r < x.rows; ++r)
    opening->row_scales[r] = quantize_int8(x.row(r), record_.d_in, record_.name, wide.data(),
                                           reinterpret_cast<i8*>(bytes->data()) + r * record_.d_in);
  MaskedTensor tensor;
  tensor.matrix = record_.matrix;
  tensor.kind = ProductKind::int8;
  tensor.rows = static_cast<u32>(x.rows);
  tensor.cols = static_cast<u32>(record_.d_in);
  tensor.bytes = std::move(bytes);
  return {std::move(tensor), std::move(opening)};
}

Result<Matrix<float>> PlainLinear::unmask(std::unique_ptr<Opening>& opening,
                                          const WorkerProduct& product,
                                          MatrixView<const float> residual) const {
  const auto& own = opening_of<PlainOpening>(this, opening);
  record_.check_residual(residual, own.rows());
  if (auto wrong = record_.wrong_format(product, ProductKind::int8, own.rows(), sizeof(i32)))
    return std::move(*wrong);
  const auto* sums = reinterpret_cast<const i32*>(product.bytes->data());
  Matrix<float> out(own.rows(), record_.d_out, Unwritten{});
  std::vector<i64> wide(record_.d_out);
  for (std::size_t r = 0; r < own.rows(); ++r, sums += record_.columns) {
    for (std::size_t j = 0; j < record_.d_out; ++j) wide[j] = sums[j];
    if (record_.two_column_sets())
      for (std::size_t j = 0; j < record_.d_out; ++j)
        wide[j] = 256 * wide[j] + sums[record_.d_out + j];
    kernels::active_kernels().dequantize_row(wide.data(), own.row_scales[r], record_.scale.data(),
                                             record_.bias.empty() ? nullptr : record_.bias.data(),
                                             optional_row(residual, r), out.row(r), record_.d_out);
  }
  opening.reset();
  return out;
}

std::string PlainScheme::warning() const {
  return "plain: nothing is hidden and no answer is checked; it exists to be measured against";
}

std::unique_ptr<MaskedLinear> PlainScheme::prepare(const LinearSpec& spec, HintSource&, Rng&,
                                                   Progress&) {
  if (spec.d_in >= kInputLimit)
    throw Error(Errc::bounds, fmt::format("{} has {} inputs; sums of int8 products hold fewer than "
                                          "{}: measure a narrower matrix",
                                          spec.name, spec.d_in, kInputLimit));
  return std::make_unique<PlainLinear>(LinearRecord(spec));
}

} // namespace talaria::remo
