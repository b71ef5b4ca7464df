#pragma once

#include <string>
#include <vector>

#include "arch/model_plan.hpp"
#include "core/integers.hpp"
#include "remo/public/parameters.hpp"

namespace talaria::planner {

/// Sums over matrices, for one row.
struct MatrixSums {
  double inputs = 0, outputs = 0; ///< values that are masked, and that come back
  double weights = 0;             ///< multiplications; bytes in int8
  double products = 0;            ///< matrices: exchanges with a worker

  MatrixSums& operator+=(const MatrixSums& other);
};

/// What a model costs for each token, whoever computes it.
struct ModelCosts {
  std::vector<MatrixSums> layers; ///< without the head
  MatrixSums head;
  double word_bytes = 6; ///< of a value on the wire; as if all matrices were rounded, if any is
  double limbs = 6;      ///< int8 products for one of residues
  double hint_bytes = 0; ///< in the enclave
  double embedding_bytes = 0;
  double kv_bytes = 0;             ///< of a position, all layers
  double attention_ops = 0;        ///< of a query and a position that it sees, all layers
  double prompt_attention_ops = 0; ///< the same of a row that stops in the last layer
  double hidden = 0;

  /// What every row goes through. In the last layer rows whose logits nobody wants stop once their
  /// keys and values are stored (docs/architecture.md, "The dataflow"): all of a prompt but its
  /// last.
  MatrixSums body;
  MatrixSums ending; ///< what is left for the others: the rest of the last layer, and the head

  MatrixSums all() const; ///< both
};

/// @param kv_format fp32, bf16 or int8
ModelCosts model_costs(const arch::ModelPlan& plan, const remo::LatticeParameters& parameters,
                       const std::string& kv_format);

} // namespace talaria::planner
