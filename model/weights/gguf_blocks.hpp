#pragma once

#include <cstddef>
#include <string>

#include "core/integers.hpp"

namespace talaria::model {

/// How the values of a GGUF tensor are stored: in blocks of `values` neighbours of a row, `bytes`
/// each. Formulas: ggml's block formats.
struct GgufType {
  u32 id = 0; ///< in the file
  const char* name = "";
  std::size_t values = 1;
  std::size_t bytes = 4;
  /// `count` blocks from `from`, which need not be aligned, to count * values floats.
  void (*decode)(const u8* from, std::size_t count, float* out) = nullptr;
};

/// The type with this id; nullptr if its values cannot be read here.
const GgufType* find_gguf_type(u32 id);
/// The name of any type that the format has, "number N" for others: for messages.
std::string gguf_type_name(u32 id);
/// The names of the types that find_gguf_type() knows, separated by commas.
std::string known_gguf_types();

/// How the rows of a tensor [rows, row_values] (or of a vector, whose values count as rows of one)
/// lie in the file.
struct GgufRows {
  const GgufType* type = nullptr;
  std::size_t row_values = 0; ///< a multiple of type->values
  /// Rows of one head of queries or keys whose halves are stored interleaved: 0, d/2, 1, d/2 + 1,
  /// ..., as ggml wants them for neighbouring pairs. 0: rows are stored in their order.
  std::size_t head_rows = 0;

  std::size_t row_bytes() const { return row_values / type->values * type->bytes; }
  /// Where row `row` of the model is stored.
  std::size_t stored(std::size_t row) const {
    if (head_rows == 0) return row;
    const std::size_t within = row % head_rows;
    const std::size_t half = head_rows / 2;
    return row - within + (within < half ? 2 * within : 2 * (within - half) + 1);
  }
};

} // namespace talaria::model
