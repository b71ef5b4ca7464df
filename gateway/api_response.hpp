#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/integers.hpp"
#include "core/random.hpp"
#include "gateway/answer_piece.hpp"
#include "gateway/api_error.hpp"
#include "gateway/logprobs_json.hpp"
#include "pipeline/request.hpp"

namespace talaria::gateway {

/// Tokens of one HTTP request, all its answers together.
struct Usage {
  u64 prompt_tokens = 0;
  u64 completion_tokens = 0;
  u64 cached_tokens = 0; ///< of the prompts'
};

/// What a response looks like beside its text.
struct ResponseShape {
  bool chat = false; ///< /v1/chat/completions, else /v1/completions
  std::string model;
  std::size_t answers = 1;
  bool include_usage = false; ///< chunks carry "usage", as stream_options.include_usage asks
  /// Escaped bytes of text that an event has room for. Every event is then filled up to one size by
  /// a field "obfuscation" of random characters, and a whole body by blanks up to its class:
  /// records of TLS have the size of what is in them, and would tell how long every token is. 0: no
  /// filling.
  std::size_t room = 0;
  /// "system_fingerprint": equal ones mean equal answers to equal requests. Empty: none.
  std::string fingerprint{};
  bool echo = false;                ///< the prompt stands before an answer
  std::optional<u32> logprobs{};    ///< scores of tokens, with so many others each
  LogprobsJson::TokenBytes bytes{}; ///< of tokens, for those
  bool tokens_as_ids = false;       ///< there
  bool return_token_ids = false;
};

/// The bodies of one answered request, as OpenAI's API has them. Chunks come as whole server-sent
/// events ("data: {...}" and an empty line).
class ResponseFormat {
public:
  /// Takes a random id and the present time.
  explicit ResponseFormat(ResponseShape shape);

  std::string whole(std::span<const WholeAnswer> answers, Usage usage) const;

  /// Before the first text of answer `index`; empty for /v1/completions.
  std::string opening(std::size_t index);
  /// One event, or several if `piece` is too long for one of the common size.
  std::string text(std::size_t index, std::string_view piece);
  /// The same for a piece that may hold more than text.
  std::string piece(std::size_t index, const AnswerPiece& piece);
  std::string ending(std::size_t index, pipeline::FinishReason reason);
  /// After the last answer; empty unless usage was asked for.
  std::string usage(Usage usage);
  std::string failure(const ApiError& error);

  const ResponseShape& shape() const noexcept { return shape_; }
  const std::string& id() const noexcept { return id_; }
  /// Bytes of every event, failures that say more excepted; 0: as long as it happens to be.
  std::size_t event_size() const noexcept { return event_size_; }

  static constexpr std::string_view kDone = "data: [DONE]\n\n";
  /// Keeps proxies from closing a connection that has nothing to say; clients skip it.
  static constexpr std::string_view kWaiting = ": waiting\n\n";

private:
  std::string chunk(const nlohmann::ordered_json& choice) const;
  std::string opening_chunk(std::size_t index) const;
  std::string text_chunk(std::size_t index, std::string_view piece) const;
  std::string scored_chunk(std::size_t index, const AnswerPiece& piece);
  std::string call_events(std::size_t index, const ToolCall& call);
  nlohmann::ordered_json choice_of(const WholeAnswer& answer, std::size_t index) const;
  nlohmann::ordered_json scores_of(const WholeAnswer& answer) const;
  std::string ending_chunk(std::size_t index, const char* reason) const;
  std::string usage_chunk(Usage usage) const;
  std::size_t common_size() const;
  std::string event(const std::string& object);
  std::string filler(std::size_t size);

  ResponseShape shape_;
  LogprobsJson logprobs_;
  std::vector<std::size_t> offsets_; ///< of the answers' next tokens, in characters
  std::vector<std::size_t> calls_;   ///< in the answers so far
  std::string id_;
  i64 created_; ///< seconds since 1970
  std::optional<ChaChaRng> rng_;
  std::size_t event_size_ = 0;
};

/// The body of /v1/models.
std::string models_body(const std::string& model, u32 context, i64 created);
/// The body of /v1/models/NAME.
std::string model_body(const std::string& model, u32 context, i64 created);

} // namespace talaria::gateway
