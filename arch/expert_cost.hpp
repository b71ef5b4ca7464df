#pragma once

#include <optional>

#include "arch/model_plan.hpp"

namespace talaria::arch {

/// What one row asks of the matrices of a mixture.
struct ExpertNumbers {
  u64 products = 0; ///< multiplications by weights
  u64 gate_up_inputs = 0, gate_up_outputs = 0;
  u64 down_inputs = 0, down_outputs = 0;
};

/// As it is: every row goes to every expert, side by side in two matrices (FeedForward).
ExpertNumbers numbers_of_all(const FeedForward& shape, u32 hidden);
/// If a row went to the experts that are chosen for it, each with matrices of its own, and to the
/// one that always counts. Nothing sends rows so: it would tell which they are.
ExpertNumbers numbers_of_chosen(const FeedForward& shape, u32 hidden);

/// What the mixtures of a model cost for not telling.
struct ExpertCost {
  u32 layers = 0; ///< that are mixtures
  u32 routed = 0; ///< experts to choose among, in the first of these layers
  u32 chosen = 0;
  u64 products = 0;        ///< of a row, in all these layers
  u64 chosen_products = 0; ///< if it went to the chosen only
  double over_chosen() const {
    return static_cast<double>(products) / static_cast<double>(chosen_products);
  }
};
/// Nothing for a model without mixtures.
std::optional<ExpertCost> expert_cost(const ModelPlan& plan);

} // namespace talaria::arch
