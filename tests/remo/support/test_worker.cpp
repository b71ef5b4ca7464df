#include "tests/remo/support/test_worker.hpp"

#include <cstring>
#include <memory>
#include <utility>

#include "kernels/kernel_set.hpp"
#include "remo/public/reply_switch.hpp"

namespace talaria::remo::testing {

const PublicMatrix& TestWorker::public_matrix(std::size_t d_in) {
  return public_.try_emplace(d_in, *parameters_, public_matrix_seed(), d_in).first->second;
}

AlignedBuffer<u8> TestWorker::residues(const u8* words, std::size_t rows,
                                       const kernels::PackedWeights& w, const kernels::Modulus& q) {
  AlignedBuffer<u8> y(rows * w.d_out() * static_cast<std::size_t>(q.word_bytes));
  kernels::active_kernels().residue_product(words, rows, w, q, y.data(), 0, w.panels());
  return y;
}

WorkerProduct TestWorker::hint_rows(u32 matrix, u32 first, u32 count) {
  const kernels::PackedWeights& w = held_.at(matrix);
  const PublicMatrix& a = public_matrix(w.d_in());
  auto bytes =
      std::make_shared<AlignedBuffer<u8>>(residues(a.row(first), count, w, parameters_->modulus()));
  return {matrix, ProductKind::residues, count, static_cast<u32>(w.d_out()), std::move(bytes)};
}

WorkerProduct TestWorker::product(const MaskedTensor& rows) {
  const kernels::PackedWeights& w = held_.at(rows.matrix);
  AlignedBuffer<u8> y;
  if (rows.kind == ProductKind::float32) {
    y = AlignedBuffer<u8>(rows.rows * w.d_out() * sizeof(float));
    kernels::active_kernels().float_product(reinterpret_cast<const float*>(rows.bytes->data()),
                                            rows.rows, w, reinterpret_cast<float*>(y.data()), 0,
                                            w.panels());
  } else if (rows.kind == ProductKind::int8) {
    y = AlignedBuffer<u8>(rows.rows * w.d_out() * sizeof(i32));
    kernels::active_kernels().plain_product(reinterpret_cast<const i8*>(rows.bytes->data()),
                                            rows.rows, w, reinterpret_cast<i32*>(y.data()), 0,
                                            w.panels());
  } else {
    const WordFormat words =
        is_rounded(rows.kind) ? parameters_->rounded_words() : parameters_->full_words();
    y = residues(rows.bytes->data(), rows.rows, w, words.modulus);
    if (is_switched(rows.kind)) y = switch_reply(words, y.data(), rows.rows * w.d_out());
  }
  return {rows.matrix, rows.kind, rows.rows, static_cast<u32>(w.d_out()),
          std::make_shared<AlignedBuffer<u8>>(std::move(y))};
}

WorkerProduct with_bit_flipped(const WorkerProduct& product, std::size_t byte, int bit) {
  auto bytes = std::make_shared<AlignedBuffer<u8>>(product.bytes->size());
  std::memcpy(bytes->data(), product.bytes->data(), bytes->size());
  (*bytes)[byte] = static_cast<u8>((*bytes)[byte] ^ (1u << bit));
  WorkerProduct out = product;
  out.bytes = std::move(bytes);
  return out;
}

} // namespace talaria::remo::testing
