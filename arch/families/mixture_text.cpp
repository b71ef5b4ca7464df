#include "arch/families/mixture_text.hpp"

#include <fmt/format.h>

namespace talaria::arch {

namespace {

constexpr u32 kMaxExperts = 4096;
/// Inputs of one matrix, as the worker's accumulators have it (kernels/kernel_set.hpp).
constexpr u64 kMaxInputs = (u64{1} << 17) - 1;

void add_shared(const std::string& base, u32 width, FeedForward& shape) {
  shape.experts.push_back({base + ".gate_proj", base + ".up_proj", base + ".down_proj", width});
  shape.intermediate += width;
}

} // namespace

u32 expert_width(const ConfigText& config, const char* key) {
  return config.fields().required_integer(key, 1, static_cast<u32>(kMaxInputs));
}

void mix(const ConfigText& config, const MixtureText& text, Layer& layer) {
  const JsonFields& fields = config.fields();
  const u32 count = fields.required_integer(text.count_key, 1, kMaxExperts);
  const u32 chosen =
      fields.integer("num_experts_per_tok", 1, kMaxExperts).value_or(text.default_chosen);
  if (chosen > count)
    fields.refuse("num_experts_per_tok",
                  fmt::format("at most {}, which is {}", text.count_key, count));
  if (u64{count} * text.width + text.shared > kMaxInputs)
    fields.refuse(text.count_key,
                  fmt::format("experts of {} that have at most {} inputs together, since all of a "
                              "layer are one matrix",
                              text.width, kMaxInputs));
  FeedForward& shape = layer.feed_forward;
  const std::string block = layer.prefix + text.block;
  shape.router = Router{block + text.router, chosen, text.normalise, ""};
  const std::string together = block + "experts."; // in files of transformers 5
  for (u32 e = 0; e < count; ++e) {
    const std::string base = fmt::format("{}experts.{}.", block, e);
    Expert expert{base + text.names.gate, base + text.names.up, base + text.names.down, text.width};
    StackedMatrix stacked{together + "gate_up_proj", count, e, std::size_t{2} * text.width};
    expert.stacked_gate = stacked;
    stacked.first = text.width;
    expert.stacked_up = stacked;
    expert.stacked_down = StackedMatrix{together + "down_proj", count, e, text.hidden};
    shape.experts.push_back(std::move(expert));
  }
  shape.intermediate = count * text.width;
}

void share_by_gate(const MixtureText& text, Layer& layer) {
  const std::string base = layer.prefix + "mlp.shared_expert";
  layer.feed_forward.router->shared_gate = base + "_gate.weight";
  add_shared(base, text.shared, layer.feed_forward);
}

void share_always(const MixtureText& text, Layer& layer) {
  layer.feed_forward.router->shared = true;
  add_shared(layer.prefix + "mlp.shared_experts", text.shared, layer.feed_forward);
}

} // namespace talaria::arch
