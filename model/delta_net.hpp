#pragma once

#include <cstddef>
#include <vector>

#include "arch/model_plan.hpp"
#include "core/matrix.hpp"
#include "core/thread_team.hpp"
#include "model/weights/quantized.hpp"

namespace talaria::model {

/// What happens in a Gated DeltaNet between its matrices (arch::DeltaNet has the formulas). Row by
/// row, so that no bit depends on how a sequence is cut into chunks. Neither a branch nor an
/// address depends on the numbers.
class DeltaNet {
public:
  DeltaNet(const arch::DeltaNet& shape, const DeltaTensors& tensors);

  const arch::DeltaNet& shape() const noexcept { return shape_; }

  /// Rows of one sequence, in order.
  ///   in     [rows, columns()]
  ///   state  [state_numbers()], of the rows before them; zeros before the first. It is changed.
  ///   out    [rows, value_dim()]
  /// @param team its threads share the heads if they have enough to do; null: nobody helps.
  void run(MatrixView<const float> in, float* state, MatrixView<float> out, ThreadTeam* team) const;

private:
  void convolve(MatrixView<const float> in, const float* history, MatrixView<float> mixed) const;
  void remember(MatrixView<const float> in, float* history) const;
  void make_unit(float* heads, float factor) const;
  void run_head(std::size_t head, MatrixView<const float> in, MatrixView<const float> mixed,
                float* state, MatrixView<float> out) const;
  void step(std::size_t head, const float* in, const float* mixed, float* state, float* out,
            float* scratch) const;

  arch::DeltaNet shape_;
  DeltaTensors tensors_;
  std::vector<float> ones_; ///< [channels]
};

} // namespace talaria::model
