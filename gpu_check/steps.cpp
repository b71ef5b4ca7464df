#include "gpu_check/steps.hpp"

#include <algorithm>

#include "kernels/cuda/device/device_kernels.hpp"
#include "kernels/cuda/step_plan.hpp"

namespace talaria::gpu_check {

using kernels::PackedWeights;
using kernels::cuda::columns_at_once;
using kernels::cuda::DeviceBuffer;
using kernels::cuda::GemmKind;
using kernels::cuda::GemmShape;
using kernels::cuda::product_rows;

Steps::Steps(Context& context, Timer& timer, kernels::cuda::Gemm& gemm, const Matrix& matrix)
    : timer_(timer), gemm_(gemm), matrix_(matrix), reply_modulus_(context.parameters.reply_modulus),
      q_(context.parameters.modulus()), format_(q_),
      limbs_(static_cast<std::size_t>(format_.limbs)),
      depth_(round_up(matrix.d_in, kernels::cuda::kDepthStep)),
      columns_(round_up(matrix.d_out, PackedWeights::kPanel)),
      weights_(timer.random_buffer(depth_ * columns_)) {}

void Steps::prepare(std::size_t rows) {
  rows_ = rows;
  step_ = std::min(rows, kernels::cuda::kStepRows);
  const std::size_t all = product_rows(rows * limbs_);
  for (DeviceBuffer* buffer : {&limb_rows_, &words_, &out_, &sums_}) *buffer = DeviceBuffer();
  limb_rows_ = timer_.random_buffer(all * depth_);
  words_ = timer_.random_buffer(rows * matrix_.d_in * limbs_);
  out_ = DeviceBuffer(timer_.memory(), rows * matrix_.d_out * limbs_, "results");
  sums_ = DeviceBuffer(timer_.memory(), all * columns_ * sizeof(i32), "sums");
}

void Steps::split_rows(std::size_t row) {
  timer_.check_call(
      kernels::cuda::split_limbs({words_.as<u8>() + row * matrix_.d_in * limbs_,
                                  limb_rows_.as<u32>(), step_, matrix_.d_in, depth_, format_},
                                 timer_.stream()),
      "split_limbs");
}

void Steps::multiply(std::size_t count, std::size_t first, std::size_t width) {
  const GemmShape shape{GemmKind::int8, width, count, depth_, depth_, depth_, width};
  gemm_.multiply(shape, weights_.as<i8>() + first * depth_, limb_rows_.as<i8>(), sums_.as<i32>(),
                 timer_.stream());
}

void Steps::recombine(std::size_t row, std::size_t first, std::size_t width, u64 reply_modulus) {
  const kernels::cuda::ReplyFormat reply(q_, reply_modulus);
  u8* const to = out_.as<u8>() + row * matrix_.d_out * static_cast<std::size_t>(reply.bytes);
  timer_.check_call(
      kernels::cuda::recombine(
          {sums_.as<i32>(), width, step_, std::min(width, matrix_.d_out - first), to, matrix_.d_out,
           first, kernels::cuda::Recombination(q_), reply, kernels::cuda::Packing(reply.bytes)},
          timer_.stream()),
      "recombine");
}

void Steps::split() {
  split_rows(0);
}

void Steps::recombine_all() {
  recombine(0, 0, columns_, 0);
}

void Steps::switch_all() {
  recombine(0, 0, columns_, reply_modulus_);
}

void Steps::bare() {
  multiply(product_rows(rows_ * limbs_), 0, columns_);
}

void Steps::plain() {
  multiply(product_rows(rows_), 0, columns_);
}

GemmShape Steps::run_shape(std::size_t sums_bytes) const {
  const std::size_t count = product_rows(step_ * limbs_);
  const std::size_t width = std::min(columns_, columns_at_once(count, matrix_.d_out, sums_bytes));
  return {GemmKind::int8, width, count, depth_, depth_, depth_, width};
}

void Steps::run_product(const GemmShape& shape, std::size_t offer) {
  gemm_.multiply(shape, weights_.as<i8>(), limb_rows_.as<i8>(), sums_.as<i32>(), timer_.stream(),
                 offer);
}

void Steps::whole(std::size_t sums_bytes) {
  const std::size_t count = product_rows(step_ * limbs_);
  const std::size_t at_once = columns_at_once(count, matrix_.d_out, sums_bytes);
  for (std::size_t row = 0; row + step_ <= rows_; row += step_) {
    split_rows(row);
    for (std::size_t first = 0; first < columns_; first += at_once) {
      const std::size_t width = std::min(at_once, columns_ - first);
      multiply(count, first, width);
      recombine(row, first, width, 0);
    }
  }
}

double Steps::operations() const {
  return 2.0 * static_cast<double>(rows_ * limbs_) *
         static_cast<double>(matrix_.d_in * matrix_.d_out);
}

} // namespace talaria::gpu_check
