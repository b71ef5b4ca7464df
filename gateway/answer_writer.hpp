#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/integers.hpp"
#include "gateway/answer_piece.hpp"
#include "gateway/api_error.hpp"
#include "gateway/logprobs_json.hpp"

namespace talaria::gateway {

/// Tokens of one HTTP request, all its answers together.
struct Usage {
  u64 prompt_tokens = 0;
  u64 completion_tokens = 0;
  u64 cached_tokens = 0;    ///< of the prompts'
  u64 reasoning_tokens = 0; ///< of the answers'
};

/// What a response looks like beside its text.
struct ResponseShape {
  bool chat = false; ///< a conversation, not /v1/completions
  std::string model;
  std::size_t answers = 1;
  bool include_usage = false; ///< chunks carry "usage", as stream_options.include_usage asks
  /// Escaped bytes of text that an event has room for. Every event is then filled up to one size
  /// (EventFrame), and a whole body by blanks up to its class. 0: no filling.
  std::size_t room = 0;
  /// "system_fingerprint": equal ones mean equal answers to equal requests. Empty: none.
  std::string fingerprint{};
  bool echo = false;                ///< the prompt stands before an answer
  std::optional<u32> logprobs{};    ///< scores of tokens, with so many others each
  LogprobsJson::TokenBytes bytes{}; ///< of tokens, for those
  bool tokens_as_ids = false;       ///< there
  bool return_token_ids = false;
  bool paced = false;     ///< events go out at fixed times, also those without text
  u64 prompt_tokens = 0;  ///< of all prompts
  std::string repeated{}; ///< ApiRequest::repeated
  std::string trace{};    ///< the request's id, which errors may name
};

/// Writes the answers of one request in the words of a dialect: a whole body, or the events of a
/// stream, which come as text of server-sent events.
///
///   opening(i) ─▶ piece(i, ...) ... ─▶ ending(i, ...)  of each answer i ─▶ closing(usage)
///                        └── or at any time, as the last ─▶ failure(error)
class AnswerWriter {
public:
  explicit AnswerWriter(ResponseShape shape) : shape_(std::move(shape)) {}
  virtual ~AnswerWriter() = default;
  AnswerWriter(const AnswerWriter&) = delete;
  AnswerWriter& operator=(const AnswerWriter&) = delete;

  virtual std::string whole(std::span<const WholeAnswer> answers, Usage usage) = 0;

  /// Before anything of answer `index`; may be empty.
  virtual std::string opening(std::size_t index) = 0;
  /// One event, or several if `piece` is too long for one of the common size, or holds more than
  /// text.
  virtual std::string piece(std::size_t index, const AnswerPiece& piece) = 0;
  virtual std::string ending(std::size_t index, const AnswerEnd& end) = 0;
  /// After the last answer.
  virtual std::string closing(Usage usage) = 0;
  /// In the place of everything that has not been written.
  virtual std::string failure(const ApiError& error) = 0;
  /// What keeps proxies from closing a connection that has nothing to say; clients skip it.
  virtual std::string_view waiting() const { return ": waiting\n\n"; }

  /// Of the response, as its client reads it.
  virtual const std::string& id() const noexcept = 0;
  const ResponseShape& shape() const noexcept { return shape_; }

private:
  ResponseShape shape_;
};

} // namespace talaria::gateway
