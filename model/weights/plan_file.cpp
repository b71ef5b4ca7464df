#include "model/weights/plan_file.hpp"

#include "model/weights/gguf_model.hpp"

namespace talaria::model {

arch::ModelPlan parse_model_plan(const PrivateFile& file) {
  return arch::parse_model_plan(file.text, file.path.string());
}

arch::ModelPlan load_model_plan(const std::filesystem::path& model_dir) {
  if (names_gguf(model_dir)) return parse_model_plan(GgufModel(model_dir).config());
  return parse_model_plan(read_private_file(model_dir / "config.json"));
}

} // namespace talaria::model
