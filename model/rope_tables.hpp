#pragma once

#include <memory>
#include <span>
#include <vector>

#include "arch/model_plan.hpp"
#include "core/matrix.hpp"

namespace talaria::model {

/// Where rows stand in their sequences, and by which angles each RoPE of the model turns them.
struct RowPositions {
  struct Angles {
    Matrix<float> cos; ///< [rows, pairs], the magnitude included
    Matrix<float> sin;
  };
  std::vector<u32> position; ///< by row
  std::vector<Angles> ropes; ///< as in ModelPlan::ropes
};

/// The RoPE of a model.
class RopeTables {
public:
  explicit RopeTables(std::vector<arch::Rope> ropes) : ropes_(std::move(ropes)) {}

  /// `beyond[i]`: row i belongs to a sequence longer than the model was trained for, where a rope
  /// has other frequencies for these.
  RowPositions at(std::vector<u32> positions, const std::vector<bool>& beyond) const;

private:
  std::vector<arch::Rope> ropes_;
};

} // namespace talaria::model
