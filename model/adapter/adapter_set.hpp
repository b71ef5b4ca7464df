#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/matrix.hpp"
#include "core/thread_team.hpp"
#include "model/adapter/adapter.hpp"

namespace talaria::model {

using AdapterPtr = std::shared_ptr<const Adapter>;

/// Rows one behind the other that go by one adapter, or by none (null).
struct AdaptedRows {
  std::size_t count = 0;
  const Adapter* adapter = nullptr;
};

/// What adapters add to the product of one matrix with some rows; wiped at its end.
class AdapterDelta {
public:
  /// y [rows, d_out] += what was computed. Rows of no adapter keep their bits.
  void add_to(Matrix<float>& y) const;

private:
  friend class AdapterSet;
  SecretBuffer<float> values_;    ///< [rows][d_out]
  std::vector<AdaptedRows> runs_; ///< if `mask_` is empty
  std::vector<u32> mask_;         ///< for each row: all ones, or 0 if it goes by no adapter
};

/// The adapters that requests of an engine may name, and their arithmetic: fp32 in the canonical
/// order (kernels::KernelSet), so that a row's result depends on that row and its adapter alone.
///   t[p] = dot(A[p], x) scale;  delta = sum over p in order of t[p] B[p], by fma;  y = y + delta
class AdapterSet {
public:
  /// `even`: every row takes as long as one of an adapter that has the largest rank of all in each
  /// part, those of no adapter and padding included, so that time tells nobody who has which.
  /// @throws Error{usage} for a name that comes twice.
  AdapterSet(std::vector<AdapterPtr> adapters, const arch::ModelPlan& plan, bool even);

  const std::vector<AdapterPtr>& all() const noexcept { return adapters_; }
  /// Null if there is none of this name.
  AdapterPtr find(std::string_view name) const;
  bool contains(const Adapter* adapter) const;
  /// Whether some adapter adds to this matrix.
  bool touches(arch::LinearId linear) const { return zeros_.contains(linear.value); }

  /// What is to be added to the products of `linear` with x [rows, d_in]. Null: nothing, as no
  /// adapter of `runs`, which cover the first of the rows, adds to it. Rows behind them are
  /// padding.
  std::unique_ptr<const AdapterDelta> delta(arch::LinearId linear, const Matrix<float>& x,
                                            std::vector<AdaptedRows> runs, ThreadTeam& team) const;

private:
  struct Zeros {
    std::vector<LowRank> parts; ///< of the largest ranks; without matrices unless even
    std::size_t d_out = 0;
  };
  class Rows;
  void pass(arch::LinearId linear, const Zeros& zeros, const Matrix<float>& x,
            std::span<const Adapter* const> adapter_of, std::size_t begin, std::size_t end,
            float* delta) const;

  std::vector<AdapterPtr> adapters_;
  bool even_;
  std::map<u32, Zeros> zeros_; ///< by LinearId: the matrices that some adapter adds to
};

} // namespace talaria::model
