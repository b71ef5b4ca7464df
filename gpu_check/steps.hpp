#pragma once

#include "gpu_check/timer.hpp"
#include "kernels/cuda/device/gemm.hpp"
#include "kernels/cuda/residue_math.hpp"

namespace talaria::gpu_check {

/// The steps of a Device's product, each of which can be put on the stream alone. Operands are
/// random bytes; what comes out is compared nowhere (see equality.hpp).
class Steps {
public:
  /// @throws Error{usage} if the device has no room for the matrix.
  Steps(Context& context, Timer& timer, kernels::cuda::Gemm& gemm, const Matrix& matrix);

  /// Makes room for so many rows. @throws Error{usage}
  void prepare(std::size_t rows);

  void split();         ///< of the first step (256 rows at most)
  void recombine_all(); ///< of the first step, all columns at once
  void switch_all();    ///< the same, with the switch to the reply format
  void bare();          ///< the int8 product of all limb rows by all columns
  void plain();         ///< the int8 product of as many rows as there are: no limbs
  /// One run of columns of the first step, as a Device has it multiplied.
  kernels::cuda::GemmShape run_shape(std::size_t sums_bytes) const;
  void run_product(const kernels::cuda::GemmShape& shape, std::size_t offer);
  /// All of the product, as a Device does it: steps of 256 rows, each in runs of columns.
  void whole(std::size_t sums_bytes);

  /// Multiplications and additions of the bare product.
  double operations() const;

private:
  void split_rows(std::size_t row);
  void multiply(std::size_t count, std::size_t first, std::size_t width);
  void recombine(std::size_t row, std::size_t first, std::size_t width, u64 reply_modulus);

  Timer& timer_;
  kernels::cuda::Gemm& gemm_;
  Matrix matrix_;
  u64 reply_modulus_;
  kernels::Modulus q_;
  kernels::cuda::LimbFormat format_;
  std::size_t limbs_, depth_, columns_;
  kernels::cuda::DeviceBuffer weights_;
  std::size_t rows_ = 0;
  std::size_t step_ = 0; ///< rows of a step
  kernels::cuda::DeviceBuffer limb_rows_, words_, out_, sums_;
};

} // namespace talaria::gpu_check
