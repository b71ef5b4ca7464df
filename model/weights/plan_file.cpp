#include "model/weights/plan_file.hpp"

#include "model/weights/gguf_model.hpp"
#include "model/weights/model_folder.hpp"

namespace talaria::model {

namespace {

/// Of a model for embeddings config.json may say that it generates, and its files lack lm_head.
arch::ModelPlan for_embeddings(arch::ModelPlan plan) {
  if (plan.head == arch::Head::tokens) plan.replace_head(arch::Head::none);
  return plan;
}

} // namespace

arch::ModelPlan parse_model_plan(const PrivateFile& file) {
  return arch::parse_model_plan(file.text, file.path.string());
}

arch::ModelPlan parse_model_plan(const TextFiles& texts) {
  arch::ModelPlan plan = parse_model_plan(texts.get("config.json"));
  return texts.find(kModulesFile) == nullptr ? plan : for_embeddings(std::move(plan));
}

arch::ModelPlan load_model_plan(const std::filesystem::path& model_dir) {
  if (names_gguf(model_dir)) return parse_model_plan(GgufModel(model_dir).config());
  arch::ModelPlan plan = parse_model_plan(read_private_file(model_dir / "config.json"));
  return is_there(model_dir / kModulesFile) ? for_embeddings(std::move(plan)) : plan;
}

} // namespace talaria::model
