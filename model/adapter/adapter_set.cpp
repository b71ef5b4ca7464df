#include "model/adapter/adapter_set.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <span>

#include "core/constant_time.hpp"
#include "core/error.hpp"
#include "kernels/kernel_set.hpp"

namespace talaria::model {

namespace {

constexpr std::size_t kRowsOfPiece = 8; ///< of one thread at a time
static_assert(kRowsOfPiece <= kernels::kMaxQueries);

} // namespace

void AdapterDelta::add_to(Matrix<float>& y) const {
  const std::size_t width = y.cols();
  if (!mask_.empty()) {
    for (std::size_t r = 0; r < y.rows(); ++r) {
      float* const to = y.row(r);
      const float* const add = values_.data() + r * width;
      for (std::size_t i = 0; i < width; ++i)
        to[i] = std::bit_cast<float>(constant_time::choose(
            mask_[r], std::bit_cast<u32>(to[i] + add[i]), std::bit_cast<u32>(to[i])));
    }
    return;
  }
  std::size_t row = 0;
  for (const AdaptedRows& run : runs_) {
    if (run.adapter != nullptr) {
      float* const to = y.row(row);
      const float* const add = values_.data() + row * width;
      for (std::size_t i = 0; i < run.count * width; ++i) to[i] += add[i];
    }
    row += run.count;
  }
}

/// Some rows on their way through the parts of one matrix.
class AdapterSet::Rows {
public:
  Rows(const Matrix<float>& x, std::size_t first, std::size_t count, float* delta,
       std::size_t d_out)
      : count_(count) {
    for (std::size_t i = 0; i < count; ++i) {
      x_[i] = x.row(first + i);
      delta_[i] = delta + (first + i) * d_out;
    }
  }

  /// Adds the first `rank` rows of `part` to the rows' outputs, or to nobody's.
  void pass(const LowRank& part, std::size_t rank, bool for_nobody) {
    if (rank == 0) return;
    const auto& set = kernels::active_kernels();
    const std::size_t outputs = part.place.outputs;
    std::array<const float*, kRowsOfPiece> from{};
    std::array<float*, kRowsOfPiece> to{};
    std::array<std::size_t, kRowsOfPiece> ranks{};
    if (for_nobody && unused_.size() < count_ * outputs)
      unused_ = SecretBuffer<float>(count_ * outputs);
    for (std::size_t i = 0; i < count_; ++i) {
      from[i] = x_[i] + part.place.first_input;
      to[i] = for_nobody ? unused_.data() + i * outputs : delta_[i] + part.place.first_output;
      ranks[i] = rank;
    }
    if (inner_.size() < count_ * rank) inner_ = SecretBuffer<float>(count_ * rank, Unwritten{});
    set.attend_scores(from.data(), ranks.data(), count_, part.a.data(), part.place.inputs,
                      part.scale, inner_.data(), rank);
    set.attend_values(inner_.data(), rank, ranks.data(), count_, part.b.data(), outputs, to.data());
  }

private:
  std::size_t count_;
  std::array<const float*, kRowsOfPiece> x_{};
  std::array<float*, kRowsOfPiece> delta_{};
  SecretBuffer<float> inner_;  ///< [count][rank]
  SecretBuffer<float> unused_; ///< what nobody gets
};

AdapterSet::AdapterSet(std::vector<AdapterPtr> adapters, const arch::ModelPlan& plan, bool even)
    : adapters_(std::move(adapters)), even_(even) {
  for (std::size_t i = 0; i < adapters_.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (adapters_[i]->name() == adapters_[j]->name())
        throw Error(Errc::usage, fmt::format("two adapters are called {}", adapters_[i]->name()));
  for (const arch::Linear& linear : plan.linears) {
    const auto places = part_places(linear);
    Zeros zeros;
    zeros.d_out = linear.d_out;
    for (const PartPlace& place : places) zeros.parts.emplace_back().place = place;
    std::size_t largest = 0;
    for (const AdapterPtr& adapter : adapters_) {
      const auto parts = adapter->of(linear.id);
      for (std::size_t p = 0; p < parts.size(); ++p) {
        zeros.parts[p].rank = std::max(zeros.parts[p].rank, parts[p].rank);
        largest = std::max(largest, parts[p].rank);
      }
    }
    if (largest == 0) continue;
    if (even)
      for (LowRank& part : zeros.parts) {
        part.a = SecretBuffer<float>(part.rank * part.place.inputs);
        part.b = SecretBuffer<float>(part.rank * part.place.outputs);
      }
    zeros_.emplace(linear.id.value, std::move(zeros));
  }
}

AdapterPtr AdapterSet::find(std::string_view name) const {
  for (const AdapterPtr& adapter : adapters_)
    if (adapter->name() == name) return adapter;
  return nullptr;
}

bool AdapterSet::contains(const Adapter* adapter) const {
  return std::any_of(adapters_.begin(), adapters_.end(),
                     [adapter](const AdapterPtr& each) { return each.get() == adapter; });
}

/// Rows [begin, end), each by its adapter of `adapter_of`.
void AdapterSet::pass(arch::LinearId linear, const Zeros& zeros, const Matrix<float>& x,
                      std::span<const Adapter* const> adapter_of, std::size_t begin,
                      std::size_t end, float* delta) const {
  while (begin < end) {
    const Adapter* const adapter = adapter_of[begin];
    std::size_t count = 1;
    while (begin + count < end && count < kRowsOfPiece && adapter_of[begin + count] == adapter)
      ++count;
    if (adapter != nullptr || even_) {
      Rows rows(x, begin, count, delta, zeros.d_out);
      const auto own = adapter != nullptr ? adapter->of(linear) : std::span<const LowRank>();
      for (std::size_t p = 0; p < zeros.parts.size(); ++p) {
        const std::size_t rank = own.empty() ? 0 : own[p].rank;
        if (rank != 0) rows.pass(own[p], rank, /*for_nobody=*/false);
        if (even_) rows.pass(zeros.parts[p], zeros.parts[p].rank - rank, /*for_nobody=*/true);
      }
    }
    begin += count;
  }
}

std::unique_ptr<const AdapterDelta> AdapterSet::delta(arch::LinearId linear, const Matrix<float>& x,
                                                      std::vector<AdaptedRows> runs,
                                                      ThreadTeam& team) const {
  const auto found = zeros_.find(linear.value);
  if (found == zeros_.end()) return nullptr;
  const Zeros& zeros = found->second;
  std::vector<const Adapter*> adapter_of(x.rows(), nullptr); // null: nothing is to be added
  auto row = adapter_of.begin();
  bool any = even_;
  for (AdaptedRows& run : runs) {
    if (run.adapter != nullptr && run.adapter->of(linear).empty()) run.adapter = nullptr;
    any = any || run.adapter != nullptr;
    row = std::fill_n(row, run.count, run.adapter);
  }
  if (!any) return nullptr;
  auto out = std::make_unique<AdapterDelta>();
  out->values_ = SecretBuffer<float>(x.rows() * zeros.d_out);
  team.parallel_for_if_free(x.rows(), kRowsOfPiece, [&](std::size_t begin, std::size_t end) {
    pass(linear, zeros, x, adapter_of, begin, end, out->values_.data());
  });
  out->runs_ = std::move(runs);
  if (even_)
    for (const Adapter* adapter : adapter_of)
      out->mask_.push_back(u32{0} - static_cast<u32>(adapter != nullptr));
  return out;
}

} // namespace talaria::model
