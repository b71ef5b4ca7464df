#include "model/weights/matrix_rows.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "model/weights/tensor_names.hpp"

namespace talaria::model {

namespace {

constexpr std::size_t kBlockValues = 32;
constexpr std::size_t kBlockBytes = 16;
/// What a transposed matrix is read into, one stretch of rows after the other: the readers of all
/// experts of a layer are there at once.
constexpr std::size_t kWindowBytes = std::size_t{8} << 20;

std::string blocks_of(const std::string& tensor) {
  return tensor + "_blocks";
}

} // namespace

MatrixRows::MatrixRows(const TensorStore& store, const arch::LinearPart& part, std::size_t rows,
                       std::size_t width)
    : rows_(rows), width_(width) {
  const std::string own = part.base + ".weight";
  if (!part.stacked || store.contains(own)) {
    place_.outputs = rows;
    reader_ = std::make_unique<TensorReader>(store.get(own, {rows, width}));
    return;
  }
  place_ = *part.stacked;
  const std::size_t count = place_.count;
  const std::string blocks = blocks_of(place_.tensor);
  if (!store.contains(place_.tensor) && store.contains(blocks)) {
    place_.inputs_first = false;
    const std::size_t groups = (width + kBlockValues - 1) / kBlockValues;
    reader_ = std::make_unique<TensorReader>(
        store.get_bytes(blocks, {count, place_.outputs, groups, kBlockBytes}));
    scales_ = std::make_unique<TensorReader>(
        store.get_bytes(place_.tensor + "_scales", {count, place_.outputs, groups}));
    return;
  }
  // If neither is there, the usual name is the one to be missed.
  const bool transposed = place_.inputs_first;
  reader_ = std::make_unique<TensorReader>(
      store.get(store.contains(place_.tensor) ? place_.tensor : own,
                {count, transposed ? width : place_.outputs, transposed ? place_.outputs : width}));
}

/// Of row `row`, in a tensor that is not transposed.
std::size_t MatrixRows::first_element(std::size_t row) const {
  return (place_.index * place_.outputs + place_.first + row * place_.step) * width_;
}

void MatrixRows::read(std::size_t row, std::span<float> out) {
  if (scales_)
    read_mxfp4(row, out);
  else if (place_.inputs_first)
    read_transposed(row, out);
  else
    reader_->read(first_element(row), out);
}

void MatrixRows::read_transposed(std::size_t row, std::span<float> out) {
  const std::size_t held = window_.size() / width_;
  if (row < window_first_ || row >= window_first_ + held) {
    const std::size_t fitting = std::max<std::size_t>(kWindowBytes / sizeof(float) / width_, 1);
    const std::size_t count = std::min(fitting, rows_ - row);
    window_.resize(count * width_);
    window_first_ = row;
    std::vector<float> line((count - 1) * place_.step + 1);
    for (std::size_t i = 0; i < width_; ++i) {
      reader_->read((place_.index * width_ + i) * place_.outputs + place_.first + row * place_.step,
                    line);
      for (std::size_t r = 0; r < count; ++r) window_[r * width_ + i] = line[r * place_.step];
    }
  }
  const float* from = window_.data() + (row - window_first_) * width_;
  std::copy_n(from, width_, out.data());
}

void MatrixRows::read_mxfp4(std::size_t row, std::span<float> out) {
  const std::size_t groups = (width_ + kBlockValues - 1) / kBlockValues;
  const std::size_t first = place_.index * place_.outputs + place_.first + row * place_.step;
  bytes_.resize(groups * (kBlockBytes + 1));
  const auto blocks = std::span(bytes_).first(groups * kBlockBytes);
  const auto scales = std::span(bytes_).subspan(blocks.size());
  reader_->read_bytes(first * blocks.size(), blocks);
  scales_->read_bytes(first * groups, scales);
  decode_mxfp4(blocks, scales, out);
}

void MatrixRows::require_finite_row(std::size_t row, std::span<const float> values) const {
  const std::size_t output = place_.first + row * place_.step;
  for (std::size_t i = 0; i < values.size(); ++i)
    require_finite(values.subspan(i, 1), tensor(),
                   place_.inputs_first ? (place_.index * width_ + i) * place_.outputs + output
                                       : first_element(row) + i);
}

std::vector<float> read_bias(const TensorStore& store, const arch::LinearPart& part) {
  if (!part.has_bias) return std::vector<float>(part.size, 0.0f);
  const auto name = part.base + ".bias";
  if (!part.stacked || part.stacked->bias.empty()) return read_vector(store, name, part.size);
  const arch::StackedMatrix& place = *part.stacked;
  const TensorView& tensor = store.get(place.bias, {place.count, place.outputs});
  std::vector<float> all(place.outputs);
  tensor.read(place.index * place.outputs, all);
  require_finite(all, tensor, place.index * place.outputs);
  std::vector<float> out(part.size);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = all[place.first + i * place.step];
  return out;
}

void decode_mxfp4(std::span<const u8> blocks, std::span<const u8> scales, std::span<float> out) {
  constexpr std::array<float, 16> kValues{0,     0.5f,  1,  1.5f,  2,  3,  4,  6,
                                          -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6};
  for (std::size_t first = 0; first < out.size(); first += kBlockValues) {
    const float scale = std::ldexp(1.0f, int{scales[first / kBlockValues]} - 127);
    for (std::size_t i = first; i < std::min(first + kBlockValues, out.size()); ++i) {
      const unsigned pair = blocks[i / 2];
      out[i] = scale * kValues[i % 2 == 0 ? pair & 15u : pair >> 4];
    }
  }
}

} // namespace talaria::model
