#include "remo/linear_record.hpp"

#include <fmt/format.h>

namespace talaria::remo {

LinearRecord::LinearRecord(const LinearSpec& spec)
    : matrix(spec.matrix), name(spec.name), d_in(spec.d_in), d_out(spec.d_out),
      columns(spec.two_column_sets ? 2 * spec.d_out : spec.d_out),
      scale(spec.scale.begin(), spec.scale.end()), bias(spec.bias.begin(), spec.bias.end()) {
  if (spec.columns == nullptr || spec.columns->d_in() != d_in || spec.columns->d_out() != columns)
    throw Error(Errc::internal,
                fmt::format("{}: weights do not have the shape [{}, {}]", name, d_in, columns));
  if (d_in == 0 || d_out == 0 || scale.size() != d_out || (!bias.empty() && bias.size() != d_out))
    throw Error(Errc::internal,
                fmt::format("{}: scales or biases do not fit {} outputs", name, d_out));
}

std::optional<Error> LinearRecord::wrong_format(const WorkerProduct& product, ProductKind kind,
                                                std::size_t rows, std::size_t value_bytes) const {
  if (product.matrix != matrix)
    return verification_error(fmt::format("is for matrix {}, not {}", product.matrix, matrix));
  if (product.kind != kind)
    return verification_error(
        fmt::format("holds {}, not {}", to_string(product.kind), to_string(kind)));
  if (product.rows != rows || product.cols != columns)
    return verification_error(
        fmt::format("has shape [{}, {}], not [{}, {}]", product.rows, product.cols, rows, columns));
  if (product.bytes == nullptr || product.bytes->size() != rows * columns * value_bytes)
    return verification_error(fmt::format("does not have {} bytes", rows * columns * value_bytes));
  return std::nullopt;
}

Error LinearRecord::verification_error(const std::string& what) const {
  return {Errc::verification, fmt::format("{}: the worker's answer {}", name, what)};
}

void LinearRecord::check_input(MatrixView<const float> x, std::size_t masks) const {
  if (x.cols != d_in)
    throw Error(Errc::internal, fmt::format("{}: rows of {} values, not {}", name, x.cols, d_in));
  if (masks < x.rows)
    throw Error(Errc::internal, fmt::format("{}: {} mask rows for {} rows", name, masks, x.rows));
}

void LinearRecord::check_residual(MatrixView<const float> residual, std::size_t rows) const {
  if (residual.data != nullptr && (residual.rows != rows || residual.cols != d_out))
    throw Error(Errc::internal,
                fmt::format("{}: the residual does not have shape [{}, {}]", name, rows, d_out));
}

} // namespace talaria::remo
