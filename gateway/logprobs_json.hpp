#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "core/integers.hpp"
#include "model/token_scores.hpp"

namespace talaria::gateway {

/// How scores of tokens look in answers.
class LogprobsJson {
public:
  /// The bytes of a token inside a text.
  using TokenBytes = std::function<std::string(u32 token)>;

  LogprobsJson() = default;
  /// @param as_ids  "token_id:7" in the place of a token's text
  LogprobsJson(TokenBytes bytes, bool as_ids) : bytes_(std::move(bytes)), as_ids_(as_ids) {}

  /// Of a chat: {"content": [{"token", "logprob", "bytes", "top_logprobs"}], "refusal"}.
  nlohmann::ordered_json chat(std::span<const model::TokenScores> scores) const;
  /// Of a completion: {"text_offset", "token_logprobs", "tokens", "top_logprobs"}.
  /// @param unscored  tokens that stand before, with null in the place of scores
  /// @param offset    where the text of the first token begins, in characters; moved on
  nlohmann::ordered_json completion(std::span<const u32> unscored,
                                    std::span<const model::TokenScores> scores,
                                    std::size_t& offset) const;
  /// vLLM's list for a prompt, null for its first token: [null, {"ID": {"logprob", "rank",
  /// "decoded_token"}}, ...].
  nlohmann::ordered_json prompt(std::span<const model::TokenScores> scores) const;

private:
  std::string text_of(u32 token) const;
  nlohmann::ordered_json entry(const model::TokenScore& score) const;

  TokenBytes bytes_;
  bool as_ids_ = false;
};

} // namespace talaria::gateway
