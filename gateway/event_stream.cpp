#include "gateway/event_stream.hpp"

#include <algorithm>
#include <utility>

#include "gateway/event_text.hpp"

namespace talaria::gateway {

namespace {

/// More of a call joins what has not been sent of it: one event instead of several.
void join_pieces(std::vector<CallPiece>& unsent, std::vector<CallPiece> pieces) {
  for (CallPiece& piece : pieces) {
    if (piece.begins || unsent.empty()) {
      unsent.push_back(std::move(piece));
      continue;
    }
    unsent.back().arguments += piece.arguments;
    unsent.back().ends = piece.ends;
  }
}

} // namespace

EventStream::EventStream(std::unique_ptr<AnswerWriter> writer, std::chrono::milliseconds pace,
                         Clock::time_point begin)
    : writer_(std::move(writer)), pace_(pace), begin_(begin), answers_(writer_->shape().answers) {}

void EventStream::add(std::size_t answer, AnswerPiece piece) {
  if (!paced()) {
    events_ += openings(); // written before what follows them
    events_ += writer_->piece(answer, piece);
    return;
  }
  AnswerPiece& unsent = answers_[answer].unsent;
  unsent.reasoning += piece.reasoning;
  unsent.text += piece.text;
  unsent.scores.insert(unsent.scores.end(), piece.scores.begin(), piece.scores.end());
  join_pieces(unsent.calls, std::move(piece.calls));
}

void EventStream::ended(std::size_t answer, AnswerEnd end) {
  if (paced()) {
    answers_[answer].end = std::move(end);
    return;
  }
  events_ += openings();
  events_ += writer_->ending(answer, end);
}

std::string EventStream::due(Clock::time_point now) {
  std::string out;
  if (!paced()) {
    events_ += openings();
    out.swap(events_);
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
  for (std::size_t i = 0; i < answers_.size(); ++i) out += writer_->opening(i);
  return out;
}

std::string EventStream::tick(std::size_t index) {
  Answer& answer = answers_[index];
  if (answer.over) return {};
  AnswerPiece& unsent = answer.unsent;
  const std::size_t room = writer_->shape().room;
  const auto take = [room](std::string& text) {
    const std::size_t size = room == 0 ? text.size() : first_that_fits(text, room).size();
    std::string part = text.substr(0, size);
    text.erase(0, size);
    return part;
  };
  AnswerPiece now;
  now.reasoning = take(unsent.reasoning);
  if (now.reasoning.empty()) {
    now.text = take(unsent.text);
    now.scores = std::exchange(unsent.scores, {});
    if (unsent.text.empty()) now.calls = std::exchange(unsent.calls, {});
  }
  std::string out = writer_->piece(index, now);
  if (unsent.empty() && answer.end) {
    answer.over = true;
    out += writer_->ending(index, *answer.end);
  }
  return out;
}

bool EventStream::pending() const {
  if (!paced()) return !events_.empty();
  return std::any_of(answers_.begin(), answers_.end(), [](const Answer& answer) {
    return !answer.unsent.empty() || (answer.end && !answer.over);
  });
}

} // namespace talaria::gateway
