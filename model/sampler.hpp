#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "core/integers.hpp"
#include "core/random.hpp"

namespace talaria::model {

struct SamplingParameters {
  float temperature = 0; ///< 0: greedy
  float top_p = 1;       ///< (0, 1]
  u32 top_k = 0;         ///< 0: all
  /// > 0; 1: none. CTRL, arXiv 1909.05858: positive logits are divided, negative ones multiplied.
  float repetition_penalty = 1;
  u64 seed = 0;

  /// @throws Error{usage} naming the field and its range.
  void validate() const;
};

/// Picks the tokens of one sequence. Same logits, parameters and seed: same tokens, whatever else
/// runs. Order as in transformers: repetition penalty, temperature, top-k, top-p, then one draw
/// from the seed's ChaCha20 stream per token. Greedy takes the lowest id among equal logits.
class Sampler {
public:
  /// `oblivious`: the same tokens in time and at addresses that tell nothing of logits and tokens,
  /// over the whole vocabulary whatever is asked for (oblivious_sampling.hpp).
  explicit Sampler(const SamplingParameters& parameters, bool oblivious = false);
  /// @param logits  [vocab]; not modified.  @param seen  ids so far, prompt included.
  u32 sample(std::span<const float> logits, std::span<const u32> seen);

private:
  SamplingParameters parameters_;
  bool oblivious_;
  ChaChaRng rng_;
};

} // namespace talaria::model
