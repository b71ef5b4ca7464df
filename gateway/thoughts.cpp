#include "gateway/thoughts.hpp"

#include <algorithm>

#include "gateway/call_text.hpp"

namespace talaria::gateway {

namespace {

constexpr std::string_view kThoughtOpen = "<think>";
constexpr std::string_view kThoughtClose = "</think>";
constexpr std::string_view kThoughtBlanks = " \t\r\n";

std::size_t front_blanks(std::string_view text) {
  return std::min(text.find_first_not_of(kThoughtBlanks), text.size());
}

/// The size of `text` without blanks at its end.
std::size_t without_end_blanks(std::string_view text) {
  const auto last = text.find_last_not_of(kThoughtBlanks);
  return last == std::string_view::npos ? 0 : last + 1;
}

} // namespace

bool thinks_in_tags(std::string_view template_source) noexcept {
  return template_source.find(kThoughtClose) != std::string_view::npos;
}

bool ends_in_thoughts(std::string_view prompt) noexcept {
  return prompt.substr(0, without_end_blanks(prompt)).ends_with(kThoughtOpen);
}

AnswerParts Thoughts::push(std::string_view piece) {
  held_ += piece;
  AnswerParts parts;
  while (step(parts, false)) {
  }
  return parts;
}

AnswerParts Thoughts::finish() {
  AnswerParts parts;
  while (step(parts, true)) {
  }
  return parts;
}

/// False if more of the answer is needed.
bool Thoughts::step(AnswerParts& parts, bool at_end) {
  switch (state_) {
  case State::before: {
    const std::string_view begin = std::string_view(held_).substr(front_blanks(held_));
    if (begin.starts_with(kThoughtOpen)) {
      held_.erase(0, held_.size() - begin.size() + kThoughtOpen.size());
      state_ = State::begin_inside;
      return true;
    }
    if (!at_end && kThoughtOpen.starts_with(begin)) return false;
    state_ = State::text;
    return true;
  }
  case State::begin_inside:
  case State::behind:
    held_.erase(0, front_blanks(held_));
    if (held_.empty()) return false;
    state_ = state_ == State::behind ? State::text : State::inside;
    return true;
  case State::inside: {
    const auto end = held_.find(kThoughtClose);
    const bool ends = end != std::string::npos;
    const std::size_t most =
        ends ? end : held_.size() - (at_end ? 0 : possible_beginning(held_, kThoughtClose));
    const std::size_t size = without_end_blanks(std::string_view(held_).substr(0, most));
    parts.reasoning.append(held_, 0, size);
    held_.erase(0, ends ? end + kThoughtClose.size() : at_end ? held_.size() : size);
    if (ends) state_ = State::behind;
    return ends;
  }
  case State::text:
    parts.text += held_;
    held_.clear();
    return false;
  }
  return false;
}

} // namespace talaria::gateway
