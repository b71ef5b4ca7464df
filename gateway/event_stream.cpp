#include "gateway/event_stream.hpp"

#include <algorithm>
#include <utility>

#include "gateway/event_text.hpp"

namespace talaria::gateway {

EventStream::EventStream(ResponseFormat format, std::chrono::milliseconds pace,
                         Clock::time_point begin)
    : format_(std::move(format)), pace_(pace), begin_(begin), answers_(format_.shape().answers) {}

void EventStream::text(std::size_t answer, std::string_view piece) {
  add(answer, {std::string(piece), {}, {}});
}

void EventStream::add(std::size_t answer, AnswerPiece piece) {
  if (!paced()) {
    events_ += format_.piece(answer, piece);
    return;
  }
  AnswerPiece& unsent = answers_[answer].unsent;
  unsent.text += piece.text;
  unsent.scores.insert(unsent.scores.end(), piece.scores.begin(), piece.scores.end());
  unsent.calls.insert(unsent.calls.end(), piece.calls.begin(), piece.calls.end());
}

void EventStream::ended(std::size_t answer, pipeline::FinishReason reason) {
  if (paced())
    answers_[answer].reason = reason;
  else
    events_ += format_.ending(answer, reason);
}

std::string EventStream::due(Clock::time_point now) {
  std::string out;
  if (!paced()) {
    out = openings() + std::exchange(events_, {});
    return out;
  }
  const i64 passed = (now - begin_) / pace_;
  if (passed == ticks_) return out;
  ticks_ = passed;
  out = openings();
  for (std::size_t i = 0; i < answers_.size(); ++i) out += tick(i);
  return out;
}

std::string EventStream::openings() {
  std::string out;
  if (std::exchange(opened_, true)) return out;
  for (std::size_t i = 0; i < answers_.size(); ++i) out += format_.opening(i);
  return out;
}

std::string EventStream::tick(std::size_t index) {
  Answer& answer = answers_[index];
  if (answer.over) return {};
  AnswerPiece& unsent = answer.unsent;
  const std::size_t room = format_.shape().room;
  const std::size_t size =
      room == 0 ? unsent.text.size() : first_that_fits(unsent.text, room).size();
  AnswerPiece now{unsent.text.substr(0, size), std::exchange(unsent.scores, {}), {}};
  unsent.text.erase(0, size);
  if (unsent.text.empty()) now.calls = std::exchange(unsent.calls, {});
  std::string out = format_.piece(index, now);
  if (unsent.empty() && answer.reason) {
    answer.over = true;
    out += format_.ending(index, *answer.reason);
  }
  return out;
}

bool EventStream::pending() const {
  if (!paced()) return !events_.empty();
  return std::any_of(answers_.begin(), answers_.end(), [](const Answer& answer) {
    return !answer.unsent.empty() || (answer.reason && !answer.over);
  });
}

} // namespace talaria::gateway
