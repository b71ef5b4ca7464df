#pragma once

#include <span>

#include "core/integers.hpp"
#include "core/secret.hpp"
#include "model/sampling_parameters.hpp"

namespace talaria::model {

/// What a request changes about the scores of tokens before one is drawn, beside the repetition
/// penalty. Per sequence: it keeps count of the answer's tokens. Time and addresses depend on the
/// parameters' numbers and the length of the answer, and with `oblivious` on no token id, not even
/// those that the parameters name.
class LogitAdjustment {
public:
  LogitAdjustment(const SamplingParameters& parameters, bool oblivious);

  /// False if nothing is ever changed.
  bool is_needed() const noexcept { return offsets_wanted_ || penalties_wanted_; }

  /// Before the repetition penalty: logit_bias; minus infinity for tokens that are not allowed, for
  /// those that would complete a banned word, and for ends before min_tokens.
  /// @param scores  [vocab]  @param answer  its tokens so far
  void offset(std::span<double> scores, std::span<const u32> answer);
  /// Behind it, as in OpenAI's reference: minus frequency_penalty for every time that the answer
  /// holds a token, and minus presence_penalty if it does.
  void penalise(std::span<double> scores, std::span<const u32> answer);
  /// The time of counting one token, which is not counted.
  void count_in_vain();

private:
  void prepare(std::size_t vocab);
  void put(std::span<double> scores, u32 id, u64 where, double value) const;
  void ban_words(std::span<double> scores, std::span<const u32> answer) const;
  void count(u32 token, u32 by);

  SamplingParameters parameters_;
  bool oblivious_;
  bool offsets_wanted_;
  bool penalties_wanted_;
  SecretBuffer<double> offsets_; ///< [vocab], once a vocabulary has been seen
  SecretBuffer<u32> counts_;     ///< [vocab]
  std::size_t counted_ = 0;      ///< tokens of the answer
};

} // namespace talaria::model
