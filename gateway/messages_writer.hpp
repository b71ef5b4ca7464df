#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>

#include "gateway/answer_writer.hpp"
#include "gateway/event_frame.hpp"

namespace talaria::gateway {

/// The one answer of a request to /v1/messages, as Anthropic's API has it: a list of blocks, of
/// which each is thinking, text or the use of a tool.
class MessagesWriter final : public AnswerWriter {
public:
  /// Takes a random id.
  explicit MessagesWriter(ResponseShape shape);

  std::string whole(std::span<const WholeAnswer> answers, Usage usage) override;
  std::string opening(std::size_t index) override;
  std::string piece(std::size_t index, const AnswerPiece& piece) override;
  std::string ending(std::size_t index, const AnswerEnd& end) override;
  std::string closing(Usage usage) override;
  std::string failure(const ApiError& error) override;
  std::string_view waiting() const override;
  const std::string& id() const noexcept override { return id_; }

private:
  enum class Open { nothing, text, tool, thinking };

  nlohmann::ordered_json message(Usage usage) const;
  std::string event(const char* name, nlohmann::ordered_json members);
  std::string open_block(Open kind);
  std::string text_delta(std::string_view text);
  std::string text_events(Open kind, std::string_view text);
  std::string arguments_delta(std::string_view part);
  std::string tool_events(const CallPiece& call);
  std::string close_block();
  std::string last_delta(Usage usage);

  const std::string id_;
  EventFrame frame_;
  Open open_ = Open::nothing;
  u64 blocks_ = 0; ///< begun so far
  bool uses_tools_ = false;
  AnswerEnd end_;
};

/// Why an answer ended, in Anthropic's words.
const char* stop_reason(const AnswerEnd& end, bool uses_tools);

} // namespace talaria::gateway
