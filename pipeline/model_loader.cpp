#include "pipeline/model_loader.hpp"

namespace talaria::pipeline {

ModelLoader::ModelLoader(const std::filesystem::path& model_dir, model::WeightFormat format)
    : config_(model::load_model_config(model_dir)),
      store_(std::make_shared<const model::TensorStore>(model_dir)), format_(format) {}

void ModelLoader::for_each_linear(Progress& progress,
                                  const std::function<void(model::QuantizedLinear)>& take) const {
  const u32 count = model::linear_count(config_);
  std::size_t total = 0;
  const auto bytes_of = [this](model::LinearId id) {
    const auto kind = model::linear_kind(config_, id);
    return model::linear_inputs(config_, kind) * model::linear_outputs(config_, kind);
  };
  for (u32 i = 0; i < count; ++i) total += bytes_of({i});
  progress.begin("weights", total);
  for (u32 i = 0; i < count; ++i) {
    take(model::load_linear(*store_, config_, {i}, format_));
    progress.advance(bytes_of({i}));
  }
  progress.end();
}

LinearFigures figures_of(const model::ModelConfig& config, const model::QuantizedLinear& linear) {
  LinearFigures f;
  f.name = model::linear_name(config, linear.id);
  f.d_in = linear.d_in;
  f.d_out = linear.d_out;
  f.columns = linear.columns.d_out();
  f.weight_bytes = linear.d_in * f.columns;
  f.max_column_norm = kernels::max_column_norm(linear.columns);
  return f;
}

} // namespace talaria::pipeline
