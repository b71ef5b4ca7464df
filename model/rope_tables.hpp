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

  /// @param lengths by row: how many tokens the sequence had when it began, or began again. What
  /// depends on the length of a sequence (arch::Rope::by_length) is decided by that and the row's
  /// own position, so that a key in the cache stays what it is, as in transformers.
  RowPositions at(std::vector<u32> positions, const std::vector<u32>& lengths) const;

private:
  std::vector<arch::Rope> ropes_;
};

} // namespace talaria::model
