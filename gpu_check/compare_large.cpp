#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "gpu_check/equality.hpp"
#include "gpu_check/samples.hpp"
#include "kernels/cuda/step_plan.hpp"

namespace talaria::gpu_check {

using kernels::Modulus;
using kernels::PackedWeights;
using kernels::cuda::RowFormat;

namespace {

constexpr std::size_t kColumns = 64;   ///< taken at random
constexpr std::size_t kAllColumns = 8; ///< rows up to which all columns are compared
constexpr u32 kMatrix = 5;

/// Columns to compare: at both ends of the matrix and of the runs in which it is multiplied, and
/// some at random.
std::vector<std::size_t> some_columns(const Context& context, const Matrix& matrix,
                                      std::size_t rows, SplitMix& numbers) {
  const auto limbs = static_cast<std::size_t>(context.parameters.modulus().word_bytes);
  const std::size_t step = std::min(rows, kernels::cuda::kStepRows);
  const std::size_t run = kernels::cuda::columns_at_once(kernels::cuda::product_rows(step * limbs),
                                                         matrix.d_out, context.sums_bytes);
  std::set<std::size_t> columns = {0, matrix.d_out - 1};
  for (std::size_t border = run; border < matrix.d_out && columns.size() < kColumns; border += run)
    columns.insert({border - 1, border});
  const std::size_t count = std::min(columns.size() + kColumns, matrix.d_out);
  while (columns.size() < count) columns.insert(numbers.below(matrix.d_out));
  return {columns.begin(), columns.end()};
}

PackedWeights take(const PackedWeights& weights, const std::vector<std::size_t>& columns) {
  PackedWeights some(weights.d_in(), columns.size());
  for (std::size_t c = 0; c < columns.size(); ++c)
    for (std::size_t i = 0; i < weights.d_in(); ++i) some.at(i, c) = weights.at(i, columns[c]);
  return some;
}

void compare_rows(Context& context, kernels::cuda::Accelerator& gpu, const Matrix& matrix,
                  const PackedWeights& weights, std::size_t rows) {
  const Modulus q = context.parameters.modulus();
  const auto width = static_cast<std::size_t>(q.word_bytes);
  SplitMix numbers(rows);
  const auto words = random_words(rows * matrix.d_in, q, numbers);
  const auto got = gpu_product(gpu, kMatrix, RowFormat::residues, words.data(), rows);
  std::size_t columns = matrix.d_out;
  bool same = got.size() == rows * matrix.d_out * width;
  CpuProduct expected;
  if (rows <= kAllColumns) {
    expected = cpu_product(words, rows, weights, q, context.team);
    same = same && got == expected.bytes;
  } else {
    const auto some = some_columns(context, matrix, rows, numbers);
    columns = some.size();
    expected = cpu_product(words, rows, take(weights, some), q, context.team);
    for (std::size_t t = 0; same && t < rows; ++t)
      for (std::size_t c = 0; same && c < columns; ++c)
        same = std::memcmp(got.data() + (t * matrix.d_out + some[c]) * width,
                           expected.bytes.data() + (t * columns + c) * width, width) == 0;
  }
  context.report.compared(text("%s %zu x %zu, %zu rows, %zu columns", matrix.name, matrix.d_in,
                               matrix.d_out, rows, columns),
                          1, same ? 0 : 1,
                          Json::object()
                              .set("kind", "large")
                              .set("parameters", std::string(context.parameters.name))
                              .set("matrix", matrix.name)
                              .set("d_in", matrix.d_in)
                              .set("d_out", matrix.d_out)
                              .set("rows", rows)
                              .set("columns", columns)
                              .set("cpu", expected.kernels));
}

} // namespace

void compare_large(Context& context) {
  context.report.begin("large", "The matrices of docs/gpu.md against the CPU");
  for (const Matrix& matrix : context.workload.matrices) {
    std::unique_ptr<kernels::cuda::Accelerator> gpu;
    std::optional<PackedWeights> weights;
    auto counts = context.workload.rows;
    if (&matrix == &context.workload.matrices.front()) // as a hint of it has
      counts.push_back(context.workload.hint_rows != 0 ? context.workload.hint_rows
                                                       : context.parameters.dimension());
    for (const std::size_t rows : counts)
      compare(context, text("%s, %zu rows", matrix.name, rows), [&] {
        if (!weights) weights.emplace(many_weights(matrix.d_in, matrix.d_out, 8, context.team));
        if (gpu == nullptr) {
          auto opened = kernels::cuda::open_devices(context.options(context.parameters));
          opened->add(kMatrix, *weights);
          gpu = std::move(opened);
        }
        compare_rows(context, *gpu, matrix, *weights, rows);
      });
  }
}

} // namespace talaria::gpu_check
