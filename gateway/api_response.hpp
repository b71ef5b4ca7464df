#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/integers.hpp"
#include "gateway/answer_writer.hpp"
#include "gateway/event_frame.hpp"
#include "gateway/logprobs_json.hpp"
#include "gateway/served_adapters.hpp"

namespace talaria::gateway {

/// Chats and completions, as OpenAI's API has them. Chunks come as whole server-sent events ("data:
/// {...}" and an empty line).
class ResponseFormat final : public AnswerWriter {
public:
  /// Takes a random id and the present time.
  explicit ResponseFormat(ResponseShape shape);

  std::string whole(std::span<const WholeAnswer> answers, Usage usage) override;

  std::string opening(std::size_t index) override;
  /// One event, or several if `piece` is too long for one of the common size.
  std::string text(std::size_t index, std::string_view piece);
  std::string piece(std::size_t index, const AnswerPiece& piece) override;
  std::string ending(std::size_t index, const AnswerEnd& end) override;
  /// Usage, if it was asked for, and what says that nothing follows.
  std::string closing(Usage usage) override;
  /// The same end behind an error.
  std::string failure(const ApiError& error) override;
  /// The event alone; empty unless usage was asked for.
  std::string usage(Usage usage);

  const std::string& id() const noexcept override { return id_; }
  /// Bytes of every event, failures that say more excepted; 0: as long as it happens to be.
  std::size_t event_size() const noexcept { return frame_.common_size(); }

  static constexpr std::string_view kDone = "data: [DONE]\n\n";

private:
  std::string chunk(const nlohmann::ordered_json& choice) const;
  std::string opening_chunk(std::size_t index) const;
  std::string text_chunk(std::size_t index, std::string_view piece) const;
  std::string scored_chunk(std::size_t index, const AnswerPiece& piece);
  std::string reasoning(std::size_t index, std::string_view thought);
  std::string call_events(std::size_t index, const CallPiece& call);
  nlohmann::ordered_json choice_of(const WholeAnswer& answer, std::size_t index) const;
  nlohmann::ordered_json scores_of(const WholeAnswer& answer) const;
  std::string ending_chunk(std::size_t index, const char* reason) const;
  std::string usage_chunk(Usage usage) const;
  std::size_t common_size() const;
  std::string event(std::string object) { return frame_.event({}, std::move(object)); }

  LogprobsJson logprobs_;
  std::vector<std::size_t> offsets_; ///< of the answers' next tokens, in characters
  std::vector<std::size_t> calls_;   ///< in the answers so far
  std::string id_;
  i64 created_; ///< seconds since 1970
  EventFrame frame_;
};

/// The body of /v1/models: the model, and behind it what else may be named.
std::string models_body(const std::string& model, const ServedAdapters& adapters, u32 context,
                        i64 created);
/// The body of /v1/models/NAME.
std::string model_body(const std::string& model, u32 context, i64 created);
/// The same of an adapter of `model`.
std::string adapter_body(const ServedAdapter& adapter, const std::string& model, u32 context,
                         i64 created);

} // namespace talaria::gateway
