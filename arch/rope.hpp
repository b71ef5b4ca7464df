#pragma once

#include <optional>
#include <string>
#include <vector>

#include "arch/model_plan.hpp"

namespace talaria::arch {

/// How frequencies are stretched beyond the length a model was trained for: `rope_scaling`, or
/// since transformers 5 `rope_parameters`, of config.json. Formulas: modeling_rope_utils.py of
/// transformers.
struct RopeScaling {
  enum class Kind : u8 {
    none,
    linear,      ///< every frequency divided by `factor`
    llama3,      ///< low ones divided, high ones kept, a blend between
    yarn,        ///< the same by a ramp over the index, and a magnitude
    dynamic,     ///< none up to original_max_position; then theta grows with the sequence
    longrope,    ///< a factor for each pair, of two sets by the length of the sequence
    proportional ///< exponents run over the whole head, of which only the first pairs turn
  };
  Kind kind = Kind::none;
  float factor = 1;
  float low_freq_factor = 1; ///< llama3
  float high_freq_factor = 4;
  u32 original_max_position = 0; ///< llama3, yarn, longrope, dynamic
  float beta_fast = 32;          ///< yarn
  float beta_slow = 1;
  bool truncate = true;
  float mscale = 0; ///< yarn; 0: not given
  float mscale_all_dim = 0;
  std::optional<float> attention_factor; ///< yarn, longrope
  std::vector<float> short_factor;       ///< longrope, [rotated / 2]
  std::vector<float> long_factor;
  float turning = 1; ///< proportional: share of the pairs that turn

  static RopeScaling linear(float factor);
  static RopeScaling llama3(float factor, float low, float high, u32 original);
};

/// YaRN's magnitude of a scaling by `factor`: 0.1 mscale ln factor + 1.
double yarn_mscale(double factor, double mscale);

/// Frequencies of `rotated` (even) dimensions, in fp32 with the roundings of torch:
/// 1 / theta^(2i / rotated), then the scaling. Proportional: `rotated` is the whole head, and pairs
/// that do not turn have frequency 0.
Rope make_rope(std::string name, float theta, u32 rotated, const RopeScaling& scaling);

} // namespace talaria::arch
