#include "cli/context_figures.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "kv/layout.hpp"

namespace talaria::cli {

namespace {

constexpr std::size_t kGib = std::size_t{1} << 30;

struct Figures {
  kv::Format format;
  std::size_t bytes_per_position;
  std::size_t state_bytes;
  u32 positions; ///< of one sequence in `memory`
};

std::size_t memory_of(const config::PipelineConfig& settings) {
  const auto bytes = settings.pipeline.kv.memory.value_or(0); // 0: auto
  return bytes == 0 ? kGib : bytes;
}

std::vector<Figures> figures_of(const arch::ModelPlan& model,
                                const config::PipelineConfig& settings) {
  const u32 chunk = std::min(settings.pipeline.prefill_chunk, settings.pipeline.max_rows);
  std::vector<Figures> out;
  for (const auto format : {kv::Format::fp32, kv::Format::bf16, kv::Format::int8}) {
    const kv::Layout layout(model, format);
    out.push_back({format, layout.bytes_per_position(), layout.state_bytes(),
                   layout.positions_for(memory_of(settings), chunk)});
  }
  return out;
}

} // namespace

nlohmann::json context_json(const arch::ModelPlan& model, const config::PipelineConfig& settings) {
  nlohmann::json formats;
  for (const Figures& f : figures_of(model, settings))
    formats[to_string(f.format)] = {{"bytes_per_position", f.bytes_per_position},
                                    {"state_bytes", f.state_bytes},
                                    {"largest_context", f.positions}};
  return {{"memory_bytes", memory_of(settings)}, {"formats", formats}};
}

std::string context_text(const arch::ModelPlan& model, const config::PipelineConfig& settings) {
  std::string bytes, longest;
  std::size_t state = 0;
  for (const Figures& f : figures_of(model, settings)) {
    const char* comma = bytes.empty() ? "" : ", ";
    bytes += fmt::format("{}{} {:.1f} KiB", comma, to_string(f.format),
                         static_cast<double>(f.bytes_per_position) / 1024);
    longest += fmt::format("{}{} {}", comma, to_string(f.format), f.positions);
    state = f.state_bytes;
  }
  std::string text = fmt::format("context   keys and values of a token: {}", bytes);
  if (state != 0)
    text += fmt::format("; states of a sequence: {:.1f} MiB",
                        static_cast<double>(state) / (1024 * 1024));
  return text + fmt::format("\n          {:.1f} GiB ({}) hold one sequence of so many tokens: {}\n",
                            static_cast<double>(memory_of(settings)) / kGib,
                            settings.pipeline.kv.memory.value_or(0) == 0 ? "--kv-memory sets it"
                                                                         : "pipeline.kv.memory",
                            longest);
}

} // namespace talaria::cli
