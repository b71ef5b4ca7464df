#include "cli/lora_flag.hpp"

#include "pipeline/adapters.hpp"

namespace talaria::cli {

CLI::Option* LoraFlag::add_to(CLI::App& command) {
  return command.add_option("--lora", folder_, "PEFT folder of a LoRA adapter to answer with");
}

void LoraFlag::load(pipeline::EngineOptions& options) const {
  if (!folder_.empty()) pipeline::load_adapters({{folder_, folder_}}, options);
}

model::AdapterPtr LoraFlag::of(const pipeline::Engine& engine) const {
  return folder_.empty() ? nullptr : engine.adapter(folder_);
}

} // namespace talaria::cli
