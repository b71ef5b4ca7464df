#include "gateway/event_stream.hpp"

#include <algorithm>
#include <utility>

#include "gateway/event_text.hpp"

namespace talaria::gateway {

EventStream::EventStream(ResponseFormat format, std::chrono::milliseconds pace,
                         Clock::time_point begin)
    : format_(std::move(format)), pace_(pace), begin_(begin), answers_(format_.shape().answers) {}

void EventStream::text(std::size_t answer, std::string_view piece) {
  if (paced())
    answers_[answer].text += piece;
  else
    events_ += format_.text(answer, piece);
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
  const std::size_t room = format_.shape().room;
  const std::size_t size =
      room == 0 ? answer.text.size() : first_that_fits(answer.text, room).size();
  std::string out = format_.text(index, std::string_view(answer.text).substr(0, size));
  answer.text.erase(0, size);
  if (answer.text.empty() && answer.reason) {
    answer.over = true;
    out += format_.ending(index, *answer.reason);
  }
  return out;
}

bool EventStream::pending() const {
  if (!paced()) return !events_.empty();
  return std::any_of(answers_.begin(), answers_.end(), [](const Answer& answer) {
    return !answer.text.empty() || (answer.reason && !answer.over);
  });
}

} // namespace talaria::gateway
