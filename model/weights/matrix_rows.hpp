#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "arch/linear_table.hpp"
#include "model/weights/tensor_store.hpp"

namespace talaria::model {

/// The rows of one part of a matrix as fp32, wherever the files have them: in a tensor of its own,
/// or in one that holds the matrices of all experts of a layer, as it is, transposed, or in MXFP4.
class MatrixRows {
public:
  /// @throws Error{model} if the tensor is missing or of another shape.
  MatrixRows(const TensorStore& store, const arch::LinearPart& part, std::size_t rows,
             std::size_t width);

  std::size_t count() const noexcept { return rows_; }
  std::size_t width() const noexcept { return width_; }
  /// out: [width]. Rows are best read in their order. @throws Error{model} if a file cannot be
  /// read.
  void read(std::size_t row, std::span<float> out);
  /// @throws Error{model} naming tensor and element if `values`, which are row `row`, hold NaN or
  /// infinity.
  void require_finite_row(std::size_t row, std::span<const float> values) const;
  /// Of messages.
  const TensorView& tensor() const noexcept { return reader_->tensor(); }

private:
  std::size_t first_element(std::size_t row) const;
  void read_transposed(std::size_t row, std::span<float> out);
  void read_mxfp4(std::size_t row, std::span<float> out);

  std::size_t rows_;
  std::size_t width_;
  arch::StackedMatrix place_; ///< of a tensor of its own: the only one there
  std::unique_ptr<TensorReader> reader_;
  std::unique_ptr<TensorReader> scales_; ///< of MXFP4, whose blocks `reader_` has
  std::vector<float> window_;            ///< rows that were transposed together
  std::size_t window_first_ = 0;
  std::vector<u8> bytes_;
};

/// The bias [part.size] of a part whose matrix has one: zeros if these outputs have none.
/// @throws Error{model} if a tensor is missing, or holds NaN or infinity.
std::vector<float> read_bias(const TensorStore& store, const arch::LinearPart& part);

/// 32 values of MXFP4 each: the two of a byte are neighbours, the first one in its lower half, as
/// checkpoints have them (files of GGUF order them otherwise). `blocks`: 16 bytes and `scales`: one
/// for each 32 of `out`.
void decode_mxfp4(std::span<const u8> blocks, std::span<const u8> scales, std::span<float> out);

} // namespace talaria::model
