#include "actors/worker/product_engine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "actors/tensor_labels.hpp"
#include "core/cpu_time.hpp"
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
constexpr std::size_t kWorthSharing = std::size_t{1} << 20;
constexpr std::size_t kManyRows = 16; ///< whose preparation is a cost
/// With a row of one sequence there is nothing else to do until the enclave has made the next one
/// of it, in some 70 us. With many rows others want the core.
constexpr std::chrono::microseconds kBetweenProducts{200};

/// Adds what the calling thread spends from its making to its end.
class CallerCost {
public:
  explicit CallerCost(std::atomic<double>& sum) : sum_(sum) {}
  ~CallerCost() { sum_.fetch_add(thread_cpu_seconds() - begin_, std::memory_order_relaxed); }
  CallerCost(const CallerCost&) = delete;
  CallerCost& operator=(const CallerCost&) = delete;

private:
  std::atomic<double>& sum_;
  double begin_ = thread_cpu_seconds();
};

remo::SharedBytes share(AlignedBuffer<u8> bytes) {
  return std::make_shared<const AlignedBuffer<u8>>(std::move(bytes));
}

kernels::cuda::RowFormat row_format(ProductKind kind) {
  using kernels::cuda::RowFormat;
  switch (kind) {
  case ProductKind::float32:
    return RowFormat::float32;
  case ProductKind::int8:
    return RowFormat::int8;
  case ProductKind::switched:
    return RowFormat::switched;
  case ProductKind::rounded:
    return RowFormat::rounded;
  case ProductKind::rounded_switched:
    return RowFormat::rounded_switched;
  case ProductKind::residues:
    break;
  }
  return RowFormat::residues;
}

} // namespace

ProductEngine::ProductEngine(const remo::LatticeParameters& parameters, std::span<const u8> seed,
                             std::size_t threads)
    : parameters_(parameters), seed_(seed.begin(), seed.end()), team_(threads) {}

std::vector<WorkerProduct> PendingProducts::finish() {
  if (job_ != nullptr) {
    auto replies = job_->finish();
    for (std::size_t i = 0; i < replies.size(); ++i) products_[i].bytes = std::move(replies[i]);
    if (telemetry::tracing(trace_.tracer)) trace_copies();
    job_.reset();
  }
  return std::move(products_);
}

void PendingProducts::trace_copies() const {
  using Clock = telemetry::Tracer::Clock;
  const kernels::cuda::JobTimes times = job_->times();
  for (const auto& phase : {times.copy_in, times.copy_out}) {
    const auto at = [this](double ms) {
      return begun_ + std::chrono::duration_cast<Clock::duration>(
                          std::chrono::duration<double, std::milli>(ms));
    };
    trace_.tracer->record(trace_.copy, SpanKind::copy, at(phase.begin), at(phase.end), labels_);
  }
}

void ProductEngine::use(std::unique_ptr<kernels::cuda::Accelerator> accelerator) {
  if (!held_.empty()) throw Error(Errc::internal, "a GPU must be chosen before matrices are added");
  accelerator_ = std::move(accelerator);
}

std::size_t ProductEngine::max_under_way() const {
  return accelerator_ == nullptr ? 1 : accelerator_->max_jobs();
}

double ProductEngine::cpu_seconds() noexcept {
  return team_.cpu_seconds() + callers_cpu_seconds_.load(std::memory_order_relaxed);
}

void ProductEngine::add(model::QuantizedLinear matrix, std::size_t first_column) {
  if (first_column % PackedWeights::kPanel != 0)
    throw Error(Errc::internal, "a part of a matrix must begin with a panel");
  if (accelerator_ != nullptr) accelerator_->add(matrix.id.value, matrix.columns);
  weight_bytes_ += matrix.columns.bytes();
  const u32 id = matrix.id.value;
  held_.insert_or_assign(id, Held{std::move(matrix), first_column});
}

const ProductEngine::Held& ProductEngine::held(u32 matrix) const {
  const auto it = held_.find(matrix);
  if (it == held_.end())
    throw Error(Errc::usage, fmt::format("matrix {} is not held by this worker", matrix));
  return it->second;
}

remo::WordFormat ProductEngine::words_of(ProductKind kind) const {
  if (!remo::is_rounded(kind)) return parameters_.full_words();
  if (!parameters_.rounds())
    throw Error(Errc::usage, fmt::format("{} words, but the parameters are {}, which do not round",
                                         remo::to_string(kind), parameters_.name));
  return parameters_.rounded_words();
}

std::size_t ProductEngine::value_bytes(ProductKind kind) const {
  if (kind == ProductKind::float32) return sizeof(float);
  if (kind == ProductKind::int8) return sizeof(i8);
  return words_of(kind).word_bytes();
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
  if (accelerator_ != nullptr) return std::move(begin({&tensor, 1}, trace).finish()[0]);
  const PackedWeights& w = linear(tensor.matrix).columns;
  WorkerProduct product = std::move(products_of({&tensor, 1})[0]);
  if (tensor.kind == ProductKind::float32) {
    AlignedBuffer<u8> out(tensor.rows * w.d_out() * sizeof(float), Unwritten{});
    const auto* in = reinterpret_cast<const float*>(tensor.bytes->data());
    auto* y = reinterpret_cast<float*>(out.data());
    team_.parallel_for(w.panels(), 1, [&](std::size_t begin, std::size_t end) {
      kernels::active_product_kernels().float_product(in, tensor.rows, w, y, begin, end);
    });
    product.bytes = share(std::move(out));
    return product;
  }
  if (tensor.kind == ProductKind::int8) {
    product.bytes = share(plain_rows(tensor.bytes->data(), tensor.rows, w));
    return product;
  }
  const remo::WordFormat format = words_of(tensor.kind);
  AlignedBuffer<u8> words = word_rows(tensor.bytes->data(), tensor.rows, w, format.modulus);
  if (remo::is_switched(tensor.kind)) {
    const telemetry::Span span(trace.tracer, trace.recombine, SpanKind::recombine,
                               labels_of(tensor));
    words = remo::switch_reply(format, words.data(), std::size_t{tensor.rows} * w.d_out());
  }
  product.bytes = share(std::move(words));
  return product;
}

std::vector<WorkerProduct> ProductEngine::multiply_together(std::span<const MaskedTensor> tensors,
                                                            const ProductTrace& trace) {
  if (tensors.size() == 1) return {multiply(tensors[0], trace)};
  if (accelerator_ != nullptr) return begin(tensors, trace).finish();
  MaskedTensor joined = tensors[0];
  std::size_t bytes = 0;
  joined.rows = 0;
  for (const MaskedTensor& tensor : tensors) {
    joined.rows += tensor.rows;
    bytes += tensor.bytes->size();
  }
  {
    const telemetry::Span span(trace.tracer, trace.copy, SpanKind::copy, labels_of(joined));
    AlignedBuffer<u8> rows(bytes, Unwritten{});
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
    AlignedBuffer<u8> part(tensor.rows * row_bytes, Unwritten{});
    std::copy_n(from, part.size(), part.data());
    from += part.size();
    product.bytes = share(std::move(part));
  }
  return products;
}

PendingProducts ProductEngine::begin(std::span<const MaskedTensor> tensors,
                                     const ProductTrace& trace) {
  const CallerCost cost(callers_cpu_seconds_);
  PendingProducts pending;
  if (accelerator_ == nullptr) {
    pending.products_ = multiply_together(tensors, trace);
    return pending;
  }
  pending.products_ = products_of(tensors);
  pending.trace_ = trace;
  pending.labels_ = labels_of(tensors[0]);
  pending.labels_.rows = 0;
  std::vector<kernels::cuda::InputRows> rows;
  for (const MaskedTensor& tensor : tensors) {
    rows.push_back({tensor.bytes->data(), tensor.rows});
    pending.labels_.rows += tensor.rows;
  }
  pending.begun_ = telemetry::Tracer::Clock::now();
  pending.job_ = accelerator_->begin(tensors[0].matrix, row_format(tensors[0].kind), rows,
                                     telemetry::tracing(trace.tracer));
  return pending;
}

std::vector<WorkerProduct> ProductEngine::products_of(std::span<const MaskedTensor> tensors) const {
  std::vector<WorkerProduct> products(tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    products[i].matrix = tensors[i].matrix;
    products[i].kind = tensors[i].kind;
    products[i].rows = tensors[i].rows;
    products[i].cols = static_cast<u32>(linear(tensors[i].matrix).columns.d_out());
  }
  return products;
}

WorkerProduct ProductEngine::hint_rows(const remo::HintRequest& request) {
  const CallerCost cost(callers_cpu_seconds_);
  const PackedWeights& w = linear(request.matrix).columns;
  const remo::PublicMatrix& a = public_matrix(w.d_in());
  if (request.first > a.rows() || request.count > a.rows() - request.first)
    throw Error(Errc::usage, fmt::format("the hint of matrix {} has {} rows; asked for {} from {}",
                                         request.matrix, a.rows(), request.count, request.first));
  WorkerProduct product;
  product.matrix = request.matrix;
  product.rows = request.count;
  product.cols = static_cast<u32>(w.d_out());
  if (accelerator_ != nullptr && request.count > 0) {
    const kernels::cuda::InputRows rows{a.row(request.first), request.count};
    product.bytes = std::move(
        accelerator_->begin(request.matrix, kernels::cuda::RowFormat::residues, {&rows, 1})
            ->finish()[0]);
  } else {
    product.bytes = share(word_rows(a.row(request.first), request.count, w, parameters_.modulus()));
  }
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

// Each call of a kernel prepares its rows once, so a thread takes a few large runs of panels; more
// of them while rows are few, so that a thread that comes late still finds something to do.
void ProductEngine::for_panels(std::size_t count, const PackedWeights& w,
                               const std::function<void(std::size_t, std::size_t)>& body) {
  const bool worth_sharing = count * w.d_in() * w.d_out() >= kWorthSharing;
  const std::size_t threads = worth_sharing ? team_.threads() : 1;
  const bool few = count < kManyRows;
  const std::size_t runs = threads == 1 ? 1 : threads * (few ? 8 : 3);
  team_.parallel_for(w.panels(), (w.panels() + runs - 1) / runs, body,
                     few ? kBetweenProducts : std::chrono::microseconds(0));
}

AlignedBuffer<u8> ProductEngine::word_rows(const u8* rows, std::size_t count,
                                           const PackedWeights& w,
                                           const kernels::Modulus& modulus) {
  AlignedBuffer<u8> out(count * w.d_out() * static_cast<std::size_t>(modulus.word_bytes),
                        Unwritten{});
  for_panels(count, w, [&](std::size_t begin, std::size_t end) {
    kernels::active_product_kernels().residue_product(rows, count, w, modulus, out.data(), begin,
                                                      end);
  });
  return out;
}

AlignedBuffer<u8> ProductEngine::plain_rows(const u8* rows, std::size_t count,
                                            const PackedWeights& w) {
  AlignedBuffer<u8> out(count * w.d_out() * sizeof(i32), Unwritten{});
  const auto* x = reinterpret_cast<const i8*>(rows);
  auto* y = reinterpret_cast<i32*>(out.data());
  for_panels(count, w, [&](std::size_t begin, std::size_t end) {
    kernels::active_product_kernels().plain_product(x, count, w, y, begin, end);
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
