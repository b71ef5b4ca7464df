#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "core/integers.hpp"
#include "core/random.hpp"
#include "model/logit_adjustment.hpp"
#include "model/sampling_parameters.hpp"

namespace talaria::model {

/// Picks the tokens of one sequence. Same logits, parameters and seed: same tokens, whatever else
/// runs. Order as in vLLM: allowed and banned tokens, logit_bias, repetition penalty, frequency and
/// presence penalties, temperature, min-p, top-k, top-p, then one draw from the seed's ChaCha20
/// stream per token. Greedy takes the lowest id among equal scores.
class Sampler {
public:
  /// `oblivious`: the same tokens in time and at addresses that tell nothing of logits and tokens,
  /// over the whole vocabulary whatever is asked for (oblivious_sampling.hpp).
  explicit Sampler(const SamplingParameters& parameters, bool oblivious = false);
  /// @param logits  [vocab]; not modified.  @param seen  ids so far, prompt included.
  /// @param answered  how many of the last of them are the answer
  u32 sample(std::span<const float> logits, std::span<const u32> seen, std::size_t answered = 0);
  /// Takes as long, and changes nothing of what is sampled later.
  void sample_in_vain(std::span<const float> logits, std::span<const u32> seen,
                      std::size_t answered);

private:
  u32 pick(std::span<const float> logits, std::span<const u32> seen, std::size_t answered,
           Rng& rng);

  SamplingParameters parameters_;
  bool oblivious_;
  LogitAdjustment adjustment_;
  ChaChaRng rng_;
};

} // namespace talaria::model
