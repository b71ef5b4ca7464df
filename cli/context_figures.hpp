#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "arch/model_plan.hpp"
#include "config/pipeline_config.hpp"

namespace talaria::cli {

/// What keys and values of a model take in each format, and how long a context a memory holds:
/// `pipeline.kv.memory`, or 1 GiB where that is auto.
nlohmann::json context_json(const arch::ModelPlan& model, const config::PipelineConfig& settings);
/// The same in two lines.
std::string context_text(const arch::ModelPlan& model, const config::PipelineConfig& settings);

} // namespace talaria::cli
