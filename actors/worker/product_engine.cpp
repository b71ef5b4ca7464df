#include "actors/worker/product_engine.hpp"

#include <fmt/format.h>

#include <utility>

#include "core/error.hpp"
#include "remo/public/reply_switch.hpp"

namespace talaria::worker {

using kernels::PackedWeights;
using remo::MaskedTensor;
using remo::ProductKind;
using remo::WorkerProduct;

namespace {

/// Below this many multiplications of a row value by a weight, waking another thread costs more
/// than it saves: without the limit talaria-tiny decodes a third slower (docs/performance.md).
constexpr std::size_t kWorthSharing = std::size_t{8} << 20;

remo::SharedBytes share(AlignedBuffer<u8> bytes) {
  return std::make_shared<const AlignedBuffer<u8>>(std::move(bytes));
}

} // namespace

ProductEngine::ProductEngine(const remo::LatticeParameters& parameters, std::span<const u8> seed,
                             std::size_t threads)
    : parameters_(parameters), modulus_(parameters.modulus()), seed_(seed.begin(), seed.end()),
      team_(threads) {}

void ProductEngine::add(model::QuantizedLinear matrix) {
  weight_bytes_ += matrix.columns.bytes();
  linears_.insert_or_assign(matrix.id.value, std::move(matrix));
}

const model::QuantizedLinear& ProductEngine::linear(u32 matrix) const {
  const auto it = linears_.find(matrix);
  if (it == linears_.end())
    throw Error(Errc::usage, fmt::format("matrix {} is not held by this worker", matrix));
  return it->second;
}

WorkerProduct ProductEngine::multiply(const MaskedTensor& tensor) {
  const PackedWeights& w = linear(tensor.matrix).columns;
  const std::size_t value_bytes = tensor.kind == ProductKind::float32
                                      ? sizeof(float)
                                      : static_cast<std::size_t>(modulus_.word_bytes);
  if (tensor.cols != w.d_in() || tensor.bytes == nullptr ||
      tensor.bytes->size() != std::size_t{tensor.rows} * tensor.cols * value_bytes)
    throw Error(Errc::usage,
                fmt::format("matrix {} takes rows of {} values of {} bytes; got {} x {}",
                            tensor.matrix, w.d_in(), value_bytes, tensor.rows, tensor.cols));
  WorkerProduct product{tensor.matrix, tensor.kind, tensor.rows, static_cast<u32>(w.d_out()), {}};
  if (tensor.kind == ProductKind::float32) {
    AlignedBuffer<u8> out(tensor.rows * w.d_out() * sizeof(float));
    const auto* in = reinterpret_cast<const float*>(tensor.bytes->data());
    auto* y = reinterpret_cast<float*>(out.data());
    team_.parallel_for(w.panels(), 1, [&](std::size_t begin, std::size_t end) {
      kernels::active_kernels().float_product(in, tensor.rows, w, y, begin, end);
    });
    product.bytes = share(std::move(out));
    return product;
  }
  AlignedBuffer<u8> words = residue_rows(tensor.bytes->data(), tensor.rows, w);
  if (tensor.kind == ProductKind::switched)
    words = remo::switch_reply(parameters_, words.data(), std::size_t{tensor.rows} * w.d_out());
  product.bytes = share(std::move(words));
  return product;
}

WorkerProduct ProductEngine::hint_rows(u32 matrix, u32 first, u32 count) {
  const PackedWeights& w = linear(matrix).columns;
  const remo::PublicMatrix& a = public_matrix(w.d_in());
  if (first > a.rows() || count > a.rows() - first)
    throw Error(Errc::usage, fmt::format("the hint of matrix {} has {} rows; asked for {} from {}",
                                         matrix, a.rows(), count, first));
  WorkerProduct product{matrix, ProductKind::residues, count, static_cast<u32>(w.d_out()), {}};
  product.bytes = share(residue_rows(a.row(first), count, w));
  return product;
}

AlignedBuffer<u8> ProductEngine::residue_rows(const u8* rows, std::size_t count,
                                              const PackedWeights& w) {
  AlignedBuffer<u8> out(count * w.d_out() * static_cast<std::size_t>(modulus_.word_bytes));
  // Each call splits its rows into limbs once, so a thread takes a few large runs of panels.
  const bool worth_sharing = count * w.d_in() * w.d_out() >= kWorthSharing;
  const std::size_t threads = worth_sharing ? team_.threads() : 1;
  const std::size_t grain = (w.panels() + threads - 1) / threads;
  team_.parallel_for(w.panels(), grain, [&](std::size_t begin, std::size_t end) {
    kernels::active_kernels().residue_product(rows, count, w, modulus_, out.data(), begin, end);
  });
  return out;
}

const remo::PublicMatrix& ProductEngine::public_matrix(std::size_t d_in) {
  std::lock_guard lock(public_mutex_);
  auto& slot = public_matrices_[d_in];
  if (!slot) slot = std::make_unique<remo::PublicMatrix>(parameters_, seed_, d_in);
  return *slot;
}

} // namespace talaria::worker
