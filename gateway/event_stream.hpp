#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/answer_writer.hpp"

namespace talaria::gateway {

/// How streamed and whole answers look to somebody who counts their bytes.
struct StreamOptions {
  bool obfuscation = true;           ///< unless a request says otherwise
  std::chrono::milliseconds pace{0}; ///< between events; 0: as tokens come
};

/// The order and the times in which the events of one streamed response go out.
///
/// Without a pace they go out as they come. With one, at multiples of it since the beginning, and
/// then exactly one event for every answer that is not over, with the text that came meanwhile as
/// far as it fits, or with none: whoever watches sees how long an answer takes, and neither when a
/// token was made nor how much text there is. The end of an answer goes out with its last text.
class EventStream {
public:
  using Clock = std::chrono::steady_clock;

  /// @param pace  0: none
  EventStream(std::unique_ptr<AnswerWriter> writer, std::chrono::milliseconds pace,
              Clock::time_point begin);

  void add(std::size_t answer, AnswerPiece piece);
  void ended(std::size_t answer, AnswerEnd end);

  /// What goes out at `now`, the opening events first; empty: nothing yet.
  std::string due(Clock::time_point now);
  /// Something of what was put in has not gone out.
  bool pending() const;
  bool paced() const noexcept { return pace_.count() > 0; }
  /// With a pace: when due() has something next.
  Clock::time_point next_tick() const noexcept { return begin_ + pace_ * (ticks_ + 1); }

  AnswerWriter& writer() noexcept { return *writer_; }

private:
  struct Answer {
    AnswerPiece unsent;
    std::optional<AnswerEnd> end;
    bool over = false; ///< its end has been sent
  };
  std::string openings();
  std::string tick(std::size_t index);

  std::unique_ptr<AnswerWriter> writer_;
  const std::chrono::milliseconds pace_;
  const Clock::time_point begin_;
  i64 ticks_ = 0; ///< that have passed
  bool opened_ = false;
  std::string events_;          ///< without a pace
  std::vector<Answer> answers_; ///< with one
};

} // namespace talaria::gateway
