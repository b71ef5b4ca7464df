#pragma once

#include <string>
#include <vector>

#include "core/integers.hpp"

namespace talaria::cluster {

/// A worker that can compute some columns of a matrix: it holds [first_column, first_column +
/// columns) and answers with all of them.
struct Holder {
  u32 node = 0;
  u64 first_column = 0;
  u64 columns = 0;
  /// Neighbours with the same number, which is not 0, are one as good as the other: whoever has
  /// least to do is asked first.
  u32 equals = 0;
};

/// Columns [first_column, first_column + columns) of a matrix, and who can compute them: primaries
/// before replicas.
struct Shard {
  u64 first_column = 0;
  u64 columns = 0;
  std::vector<Holder> holders;
};

/// Where one matrix is computed. Shards lie side by side and cover every column.
struct MatrixPlan {
  u32 matrix = 0;
  std::string name; ///< "layers.3.qkv"
  u64 d_in = 0;
  u64 columns = 0;
  std::vector<Shard> shards;
};

/// Where every matrix is computed, by LinearId.
using PlacementPlan = std::vector<MatrixPlan>;

} // namespace talaria::cluster
