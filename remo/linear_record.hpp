#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "remo/masking_scheme.hpp"

namespace talaria::remo {

/// What stays of a LinearSpec after prepare(): shape, name and the last step of a row.
struct LinearRecord {
  u32 matrix = 0;
  std::string name;
  std::size_t d_in = 0;
  std::size_t d_out = 0;
  std::size_t columns = 0; ///< of the matrix as the worker holds it: d_out or 2 d_out
  std::vector<float> scale;
  std::vector<float> bias; ///< empty or [d_out]

  /// @throws Error{internal} if the spec's parts do not fit together.
  explicit LinearRecord(const LinearSpec& spec);

  bool two_column_sets() const noexcept { return columns != d_out; }

  /// Error{verification} unless the product is `rows` rows of this matrix, `value_bytes` a value.
  std::optional<Error> wrong_format(const WorkerProduct& product, ProductKind kind,
                                    std::size_t rows, std::size_t value_bytes) const;
  Error verification_error(const std::string& what) const;

  /// @throws Error{internal} unless x has d_in columns, and there are masks for all rows.
  void check_input(MatrixView<const float> x, std::size_t masks) const;
  /// @throws Error{internal} unless the residual is absent or [rows, d_out].
  void check_residual(MatrixView<const float> residual, std::size_t rows) const;
};

/// The row of an optional matrix: null if there is none.
inline const float* optional_row(MatrixView<const float> view, std::size_t row) {
  return view.data == nullptr ? nullptr : view.row(row);
}

} // namespace talaria::remo
