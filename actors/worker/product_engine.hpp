#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "core/thread_team.hpp"
#include "kernels/cuda/accelerator.hpp"
#include "kernels/product_kernels.hpp"
#include "model/weights/quantized.hpp"
#include "remo/public/parameters.hpp"
#include "remo/public/public_matrix.hpp"
#include "remo/public/wire_tensors.hpp"
#include "telemetry/tracer.hpp"

namespace talaria::worker {

/// Where the parts of a product that are no multiplication go in a trace; nowhere without a tracer.
struct ProductTrace {
  telemetry::Tracer* tracer = nullptr;
  telemetry::Tracer::Track copy = 0;
  telemetry::Tracer::Track recombine = 0;
};

/// Products that a ProductEngine has begun. Must not outlive the engine.
class PendingProducts {
public:
  /// Whether finish() will not wait long. Does not block. @throws Error{internal}
  bool ready() const { return job_ == nullptr || job_->ready(); }
  /// One product per tensor, in order. Blocks until they are there. Call once.
  /// @throws Error{internal} if the device failed.
  std::vector<remo::WorkerProduct> finish();

private:
  friend class ProductEngine;
  void trace_copies() const;

  std::unique_ptr<kernels::cuda::Job> job_;   ///< null: the products are complete
  std::vector<remo::WorkerProduct> products_; ///< without bytes while there is a job
  ProductTrace trace_;
  telemetry::SpanLabels labels_;
  telemetry::Tracer::Clock::time_point begun_{};
};

/// What a worker can do: multiply masked rows by the matrices it holds. Knows nothing of requests,
/// tokens or masks, keeps nothing between calls, and trusts nothing in a tensor's header.
class ProductEngine {
public:
  /// `seed` is that of the public matrix; `threads` >= 1 share each product.
  ProductEngine(const remo::LatticeParameters& parameters, std::span<const u8> seed,
                std::size_t threads);

  /// Multiplies by GPUs from now on; call before add(). The matrices stay in host memory as well:
  /// enclaves may ask for them.
  void use(std::unique_ptr<kernels::cuda::Accelerator> accelerator);

  /// Takes charge of a matrix, or of the columns of it from `first_column` on (a multiple of
  /// PackedWeights::kPanel). Not to be called while products run.
  void add(model::QuantizedLinear matrix, std::size_t first_column = 0);
  /// The matrix with this LinearId, as much of it as is held. @throws Error{usage} if it is not
  /// held here.
  const model::QuantizedLinear& linear(u32 matrix) const { return held(matrix).linear; }
  std::size_t matrices() const noexcept { return held_.size(); }
  std::size_t weight_bytes() const noexcept { return weight_bytes_; }

  /// c W for every row. @throws Error{usage} if the matrix is not here or shape and bytes disagree.
  remo::WorkerProduct multiply(const remo::MaskedTensor& tensor, const ProductTrace& trace = {});
  /// The same for several tensors of one matrix and kind in one reading of the weights; each must
  /// have passed check().
  std::vector<remo::WorkerProduct> multiply_together(std::span<const remo::MaskedTensor> tensors,
                                                     const ProductTrace& trace = {});
  /// Begins multiply_together() and returns while a GPU runs it; without one the products are
  /// complete on return. More than max_under_way() at a time bring nothing.
  PendingProducts begin(std::span<const remo::MaskedTensor> tensors,
                        const ProductTrace& trace = {});
  std::size_t max_under_way() const;
  /// CPU time that begin() and hint_rows() have cost so far: of their callers and of this engine's
  /// threads, which look for the next product for a while. To tell the worker's part of a process
  /// from the enclave's; of a GPU's products only what their beginning took.
  double cpu_seconds() noexcept;
  /// @throws Error{usage} as multiply() would.
  void check(const remo::MaskedTensor& tensor) const;

  /// Rows [first, first + count) of R = A W. @throws Error{usage} for rows that do not exist.
  remo::WorkerProduct hint_rows(const remo::HintRequest& request);

  /// Panels by their number in the whole matrix. @throws Error{usage} for panels not held here.
  remo::WeightPanels panels(const remo::WeightRequest& request) const;

private:
  struct Held {
    model::QuantizedLinear linear;
    std::size_t first_column = 0;
  };
  const Held& held(u32 matrix) const;
  /// Of one value of a row as it arrives.
  std::size_t value_bytes(remo::ProductKind kind) const;
  const remo::PublicMatrix& public_matrix(std::size_t d_in);
  /// The headers of the products of these tensors.
  std::vector<remo::WorkerProduct> products_of(std::span<const remo::MaskedTensor> tensors) const;
  /// Calls body(panel_begin, panel_end) for all panels of `w`, on the team if `count` rows are
  /// worth it.
  void for_panels(std::size_t count, const kernels::PackedWeights& w,
                  const std::function<void(std::size_t, std::size_t)>& body);
  AlignedBuffer<u8> plain_rows(const u8* rows, std::size_t count, const kernels::PackedWeights& w);
  AlignedBuffer<u8> word_rows(const u8* rows, std::size_t count, const kernels::PackedWeights& w,
                              const kernels::Modulus& modulus);
  /// Of tensors of this kind. @throws Error{usage} for rounded words, if the set does not round.
  remo::WordFormat words_of(remo::ProductKind kind) const;

  const remo::LatticeParameters& parameters_;
  std::vector<u8> seed_;
  ThreadTeam team_;
  std::atomic<double> callers_cpu_seconds_{0};
  std::unique_ptr<kernels::cuda::Accelerator> accelerator_; ///< null: this machine's CPU
  std::map<u32, Held> held_;
  std::size_t weight_bytes_ = 0;
  std::mutex public_mutex_;
  std::map<std::size_t, std::unique_ptr<remo::PublicMatrix>> public_matrices_; ///< by d_in
};

} // namespace talaria::worker
