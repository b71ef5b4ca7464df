#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/answer_writer.hpp"
#include "gateway/event_frame.hpp"

namespace talaria::gateway {

/// The one answer of a request to /v1/responses: a list of items, of which each is reasoning, a
/// message or a call of a function. Every event of a stream has a number.
class ResponsesWriter final : public AnswerWriter {
public:
  /// Takes random ids and the present time.
  explicit ResponsesWriter(ResponseShape shape);

  std::string whole(std::span<const WholeAnswer> answers, Usage usage) override;
  std::string opening(std::size_t index) override;
  std::string piece(std::size_t index, const AnswerPiece& piece) override;
  std::string ending(std::size_t index, const AnswerEnd& end) override;
  std::string closing(Usage usage) override;
  std::string failure(const ApiError& error) override;
  const std::string& id() const noexcept override { return id_; }

private:
  enum class Kind { message, call, reasoning };
  struct Item {
    Kind kind = Kind::message;
    std::string id;
    ToolCall call;    ///< of a call
    std::string text; ///< of others
    std::vector<model::TokenScores> scores;
    bool done = false;
  };
  enum class Status { in_progress, completed, incomplete, failed };

  nlohmann::ordered_json item_json(const Item& item) const;
  nlohmann::ordered_json text_part(const Item& item) const;
  nlohmann::ordered_json scores_json(std::span<const model::TokenScores> scores) const;
  std::string response(Status status, const nlohmann::ordered_json& error,
                       const Usage* usage) const;
  std::string status_event(const char* name, Status status, const nlohmann::ordered_json& error,
                           const Usage* usage);
  std::string event(const char* name, nlohmann::ordered_json members, bool large = false);
  /// Members that events about a part of the last item have.
  nlohmann::ordered_json place(bool in_part) const;
  void add_item(Kind kind, ToolCall call = {});
  bool is_open() const noexcept { return !items_.empty() && !items_.back().done; }
  std::string open_text(Kind kind);
  std::string text_events(Kind kind, std::string_view text,
                          std::span<const model::TokenScores> scores);
  std::string delta_event(std::string_view text, std::span<const model::TokenScores> scores);
  std::string arguments_event(std::string_view part);
  std::string call_events(const CallPiece& call);
  std::string close_item();

  LogprobsJson logprobs_;
  const std::string id_;
  const i64 created_; ///< seconds since 1970
  EventFrame frame_;
  std::vector<Item> items_;
  u64 events_ = 0; ///< so far
  AnswerEnd end_;
};

} // namespace talaria::gateway
