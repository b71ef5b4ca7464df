#include "config/pipeline_config.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "config/problems.hpp"
#include "core/machine_memory.hpp"

namespace talaria::config {

std::size_t Masking::pool_memory() const {
  constexpr std::size_t kUsual = std::size_t{2} << 30;
  if (memory) return *memory;
  const std::size_t machine = memory_of_machine();
  return machine == 0 ? kUsual : machine / 4;
}

void check_layer_count(const PipelineConfig& config, u32 layers) {
  Problems problems(config.file);
  const std::string whole = to_string(LayerRange{0, layers - 1});
  u32 held = 0; // by primaries, which have no gaps and no overlaps
  for (std::size_t i = 0; i < config.workers.size(); ++i) {
    const WorkerNode& node = config.workers[i];
    const LayerRange range = node.layers.within(layers);
    if (range.last >= layers)
      problems.add({node.layers_line, node.layers_column}, fmt::format("workers[{}].layers", i),
                   fmt::format("is {}; expected layers of the model, which has {}",
                               to_string(node.layers), whole));
    if (node.role == WorkerNode::Role::primary) held = std::max(held, range.last + 1);
  }
  if (!config.workers.empty() && held < layers) {
    const WorkerNode& first = config.workers.front();
    problems.add({first.line, 1}, "workers",
                 fmt::format("no primary worker holds layers {}; expected one for each of {}",
                             to_string(LayerRange{held, layers - 1}), whole));
  }
  problems.throw_if_any();
}

} // namespace talaria::config
