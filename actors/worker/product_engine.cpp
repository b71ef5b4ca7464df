#include "actors/worker/product_engine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/error.hpp"
#include "remo/public/reply_switch.hpp"

namespace talaria::worker {

using kernels::PackedWeights;
using remo::MaskedTensor;
using remo::ProductKind;
using remo::WorkerProduct;
using telemetry::SpanKind;

namespace {

/// Below this many multiplications of a row value by a weight, waking another thread costs more
/// than it saves: without the limit talaria-tiny decodes a third slower (docs/performance.md).
constexpr std::size_t kWorthSharing = std::size_t{8} << 20;

remo::SharedBytes share(AlignedBuffer<u8> bytes) {
  return std::make_shared<const AlignedBuffer<u8>>(std::move(bytes));
}

telemetry::SpanLabels labels_of(const MaskedTensor& tensor) {
  telemetry::SpanLabels labels;
  labels.trace = tensor.mark.id;
  labels.micro_batch = tensor.mark.micro_batch;
  labels.rows = tensor.rows;
  labels.matrix = tensor.matrix;
  return labels;
}

} // namespace

ProductEngine::ProductEngine(const remo::LatticeParameters& parameters, std::span<const u8> seed,
                             std::size_t threads)
    : parameters_(parameters), modulus_(parameters.modulus()), seed_(seed.begin(), seed.end()),
      team_(threads) {}

void ProductEngine::add(model::QuantizedLinear matrix, std::size_t first_column) {
  if (first_column % PackedWeights::kPanel != 0)
    throw Error(Errc::internal, "a part of a matrix must begin with a panel");
  weight_bytes_ += matrix.columns.bytes();
  held_.insert_or_assign(matrix.id.value, Held{std::move(matrix), first_column});
}

const ProductEngine::Held& ProductEngine::held(u32 matrix) const {
  const auto it = held_.find(matrix);
  if (it == held_.end())
    throw Error(Errc::usage, fmt::format("matrix {} is not held by this worker", matrix));
  return it->second;
}

std::size_t ProductEngine::value_bytes(ProductKind kind) const noexcept {
  if (kind == ProductKind::float32) return sizeof(float);
  if (kind == ProductKind::int8) return sizeof(i8);
  return static_cast<std::size_t>(modulus_.word_bytes);
}

void ProductEngine::check(const MaskedTensor& tensor) const {
  const PackedWeights& w = linear(tensor.matrix).columns;
  const std::size_t bytes = value_bytes(tensor.kind);
  if (tensor.rows == 0 || tensor.cols != w.d_in() || tensor.bytes == nullptr ||
      tensor.bytes->size() != std::size_t{tensor.rows} * tensor.cols * bytes)
    throw Error(Errc::usage,
                fmt::format("matrix {} takes rows of {} values of {} bytes; got {} x {}",
                            tensor.matrix, w.d_in(), bytes, tensor.rows, tensor.cols));
}

WorkerProduct ProductEngine::multiply(const MaskedTensor& tensor, const ProductTrace& trace) {
  check(tensor);
  const PackedWeights& w = linear(tensor.matrix).columns;
  WorkerProduct product;
  product.matrix = tensor.matrix;
  product.kind = tensor.kind;
  product.rows = tensor.rows;
  product.cols = static_cast<u32>(w.d_out());
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
  if (tensor.kind == ProductKind::int8) {
    product.bytes = share(plain_rows(tensor.bytes->data(), tensor.rows, w));
    return product;
  }
  AlignedBuffer<u8> words = residue_rows(tensor.bytes->data(), tensor.rows, w);
  if (tensor.kind == ProductKind::switched) {
    const telemetry::Span span(trace.tracer, trace.switching, SpanKind::switching,
                               labels_of(tensor));
    words = remo::switch_reply(parameters_, words.data(), std::size_t{tensor.rows} * w.d_out());
  }
  product.bytes = share(std::move(words));
  return product;
}

std::vector<WorkerProduct> ProductEngine::multiply_together(std::span<const MaskedTensor> tensors,
                                                            const ProductTrace& trace) {
  if (tensors.size() == 1) return {multiply(tensors[0], trace)};
  MaskedTensor joined = tensors[0];
  std::size_t bytes = 0;
  joined.rows = 0;
  for (const MaskedTensor& tensor : tensors) {
    joined.rows += tensor.rows;
    bytes += tensor.bytes->size();
  }
  {
    const telemetry::Span span(trace.tracer, trace.copy, SpanKind::copy, labels_of(joined));
    AlignedBuffer<u8> rows(bytes);
    u8* at = rows.data();
    for (const MaskedTensor& tensor : tensors)
      at = std::copy(tensor.bytes->begin(), tensor.bytes->end(), at);
    joined.bytes = share(std::move(rows));
  }

  const WorkerProduct all = multiply(joined, trace);
  const std::size_t row_bytes = all.bytes->size() / all.rows;
  const u8* from = all.bytes->data();
  std::vector<WorkerProduct> products;
  for (const MaskedTensor& tensor : tensors) {
    WorkerProduct& product = products.emplace_back(all);
    product.rows = tensor.rows;
    AlignedBuffer<u8> part(tensor.rows * row_bytes);
    std::copy_n(from, part.size(), part.data());
    from += part.size();
    product.bytes = share(std::move(part));
  }
  return products;
}

WorkerProduct ProductEngine::hint_rows(const remo::HintRequest& request) {
  const PackedWeights& w = linear(request.matrix).columns;
  const remo::PublicMatrix& a = public_matrix(w.d_in());
  if (request.first > a.rows() || request.count > a.rows() - request.first)
    throw Error(Errc::usage, fmt::format("the hint of matrix {} has {} rows; asked for {} from {}",
                                         request.matrix, a.rows(), request.count, request.first));
  WorkerProduct product;
  product.matrix = request.matrix;
  product.rows = request.count;
  product.cols = static_cast<u32>(w.d_out());
  product.bytes = share(residue_rows(a.row(request.first), request.count, w));
  return product;
}

remo::WeightPanels ProductEngine::panels(const remo::WeightRequest& request) const {
  const Held& part = held(request.matrix);
  const PackedWeights& w = part.linear.columns;
  const std::size_t first_panel = part.first_column / PackedWeights::kPanel;
  if (request.first < first_panel || request.first - first_panel > w.panels() ||
      request.count > w.panels() - (request.first - first_panel))
    throw Error(Errc::usage,
                fmt::format("matrix {} is held here from panel {} to {}; asked for {} from {}",
                            request.matrix, first_panel, first_panel + w.panels(), request.count,
                            request.first));
  const std::size_t panel_bytes = w.groups() * PackedWeights::kPanel * 4;
  AlignedBuffer<u8> bytes(request.count * panel_bytes);
  if (!bytes.empty()) std::memcpy(bytes.data(), w.panel(request.first - first_panel), bytes.size());
  return {request.matrix, request.first, request.count, share(std::move(bytes))};
}

// Each call of a kernel prepares its rows once, so a thread takes a few large runs of panels.
void ProductEngine::for_panels(std::size_t count, const PackedWeights& w,
                               const std::function<void(std::size_t, std::size_t)>& body) {
  const bool worth_sharing = count * w.d_in() * w.d_out() >= kWorthSharing;
  const std::size_t threads = worth_sharing ? team_.threads() : 1;
  team_.parallel_for(w.panels(), (w.panels() + threads - 1) / threads, body);
}

AlignedBuffer<u8> ProductEngine::residue_rows(const u8* rows, std::size_t count,
                                              const PackedWeights& w) {
  AlignedBuffer<u8> out(count * w.d_out() * static_cast<std::size_t>(modulus_.word_bytes));
  for_panels(count, w, [&](std::size_t begin, std::size_t end) {
    kernels::active_kernels().residue_product(rows, count, w, modulus_, out.data(), begin, end);
  });
  return out;
}

AlignedBuffer<u8> ProductEngine::plain_rows(const u8* rows, std::size_t count,
                                            const PackedWeights& w) {
  AlignedBuffer<u8> out(count * w.d_out() * sizeof(i32));
  const auto* x = reinterpret_cast<const i8*>(rows);
  auto* y = reinterpret_cast<i32*>(out.data());
  for_panels(count, w, [&](std::size_t begin, std::size_t end) {
    kernels::active_kernels().plain_product(x, count, w, y, begin, end);
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
