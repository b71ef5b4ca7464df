#pragma once

#include <string>

#include "arch/families/config_text.hpp"

namespace talaria::arch {

/// Names of an expert's three tensors behind "experts.N.".
struct ExpertNames {
  const char* gate = "gate_proj";
  const char* up = "up_proj";
  const char* down = "down_proj";
};

/// What a family's config.json says of its mixtures, and what it leaves unsaid.
struct MixtureText {
  const char* count_key = "num_experts";
  u32 hidden = 0;
  u32 width = 0;
  u32 shared = 0; ///< width of the expert that always counts; 0: there is none
  u32 default_chosen = 8;
  bool normalise = false;
  std::string block = "mlp."; ///< before the router and "experts."
  const char* router = "gate.weight";
  ExpertNames names;
};

/// The width of an expert, or of several that are one matrix.
/// @throws Error{model} if it is missing or too large.
u32 expert_width(const ConfigText& config, const char* key);

/// Makes the feed-forward of `layer` a mixture, of routed experts.
/// @throws Error{model} naming the field for numbers that do not fit.
void mix(const ConfigText& config, const MixtureText& text, Layer& layer);

/// Adds an expert that always counts, by a gate of its own (Qwen2), or 1 (DeepSeek).
void share_by_gate(const MixtureText& text, Layer& layer);
void share_always(const MixtureText& text, Layer& layer);

} // namespace talaria::arch
