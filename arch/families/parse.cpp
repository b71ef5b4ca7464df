#include "arch/families/families.hpp"

namespace talaria::arch {

namespace {

struct Family {
  const char* model_type;
  ModelPlan (*plan)(const ConfigText& config);
};

constexpr Family kFamilies[] = {
    {"llama", llama_plan},
    {"mistral", mistral_plan},
    {"qwen2", qwen2_plan},
    {"qwen3", qwen3_plan},
    {"smollm3", smollm3_plan},
    {"phi3", phi3_plan},
    {"olmo2", olmo2_plan},
    {"olmo3", olmo3_plan},
    {"gemma2", gemma2_plan},
    {"gemma3_text", gemma3_plan},
    {"gemma3", gemma3_plan},
    {"ministral3", ministral3_plan},
    {"granite", granite_plan},
    {"glm4", glm4_plan},
    {"mixtral", mixtral_plan},
    {"qwen2_moe", qwen2_moe_plan},
    {"qwen3_moe", qwen3_moe_plan},
    {"olmoe", olmoe_plan},
    {"gpt_oss", gpt_oss_plan},
    {"deepseek_v2", deepseek_v2_plan},
    {"deepseek_v3", deepseek_v3_plan},
    {"qwen3_5_text", qwen3_5_plan},
    {"gemma4_text", gemma4_plan},
};

ModelPlan with_head(ModelPlan plan, Head head) {
  if (head != Head::tokens) plan.replace_head(head);
  if (head == Head::label) plan.score = "score.weight";
  return plan;
}

} // namespace

std::string known_model_types() {
  std::string list;
  for (const Family& family : kFamilies) {
    if (!list.empty()) list += ", ";
    list += family.model_type;
  }
  return list;
}

ModelPlan parse_model_plan(const std::string& text, const std::string& file) {
  const nlohmann::json object = parse_json_object(text, file);
  const ConfigText config(object, file);
  const std::string type = config.model_type();
  for (const Family& family : kFamilies)
    if (type == family.model_type) return with_head(family.plan(config), config.head());
  config.fields().refuse("model_type", "one of " + known_model_types());
}

} // namespace talaria::arch
