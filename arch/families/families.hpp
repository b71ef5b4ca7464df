#pragma once

#include "arch/families/config_text.hpp"

namespace talaria::arch {

// One function per family: from a config.json to the plan of the model. The formulas are those of
// transformers' modeling_FAMILY.py; each file says what differs from Llama.
ModelPlan llama_plan(const ConfigText& config);
ModelPlan mistral_plan(const ConfigText& config);
ModelPlan qwen2_plan(const ConfigText& config);
ModelPlan qwen3_plan(const ConfigText& config);
ModelPlan smollm3_plan(const ConfigText& config);
ModelPlan phi3_plan(const ConfigText& config);
ModelPlan olmo2_plan(const ConfigText& config);
ModelPlan olmo3_plan(const ConfigText& config);
ModelPlan gemma2_plan(const ConfigText& config);
ModelPlan gemma3_plan(const ConfigText& config);
ModelPlan ministral3_plan(const ConfigText& config);
ModelPlan granite_plan(const ConfigText& config);
ModelPlan glm4_plan(const ConfigText& config);
ModelPlan mixtral_plan(const ConfigText& config);
ModelPlan qwen2_moe_plan(const ConfigText& config);
ModelPlan qwen3_moe_plan(const ConfigText& config);
ModelPlan olmoe_plan(const ConfigText& config);
ModelPlan gpt_oss_plan(const ConfigText& config);
ModelPlan deepseek_v2_plan(const ConfigText& config);
ModelPlan deepseek_v3_plan(const ConfigText& config);
ModelPlan qwen3_5_plan(const ConfigText& config);
ModelPlan gemma4_plan(const ConfigText& config);

} // namespace talaria::arch
