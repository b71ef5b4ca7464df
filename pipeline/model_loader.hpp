#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "actors/worker/product_engine.hpp"
#include "core/progress.hpp"
#include "core/random.hpp"
#include "model/weights/quantized.hpp"
#include "remo/masking_scheme.hpp"

namespace talaria::pipeline {

/// Figures of one outsourced matrix, for `inspect` and the account of a run.
struct LinearFigures {
  std::string name;
  std::size_t d_in = 0;
  std::size_t d_out = 0;
  std::size_t columns = 0;      ///< on the worker: d_out, or 2 d_out for int16
  std::size_t weight_bytes = 0; ///< on the worker
  double max_column_norm = 0;
};

/// A model folder, opened: what stays in the enclave, and the linear layers one at a time.
class ModelLoader {
public:
  ModelLoader(const std::filesystem::path& model_dir, model::WeightFormat format);

  const model::ModelConfig& config() const noexcept { return config_; }
  const model::TensorStore& tensors() const noexcept { return *store_; }
  std::shared_ptr<const model::TensorStore> shared_tensors() const noexcept { return store_; }
  model::WeightFormat format() const noexcept { return format_; }

  /// Quantises every matrix, in the order of LinearId, and hands each to `take`.
  void for_each_linear(Progress& progress,
                       const std::function<void(model::QuantizedLinear)>& take) const;

private:
  model::ModelConfig config_;
  std::shared_ptr<const model::TensorStore> store_;
  model::WeightFormat format_;
};

/// The figures of a quantised matrix.
LinearFigures figures_of(const model::ModelConfig& config, const model::QuantizedLinear& linear);

} // namespace talaria::pipeline
