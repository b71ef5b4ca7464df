#pragma once

#include <chrono>

#include "cli/chat/answerer.hpp"

namespace talaria::cli {

/// Times the tokens, or pieces, of one answer.
class AnswerClock {
public:
  void token() {
    last_ = Clock::now();
    if (count_++ == 0) first_ = last_;
  }
  std::size_t count() const noexcept { return count_; }
  /// @param tokens  what the server counted; 0: as many as there were calls of token()
  AnswerFigures figures(std::size_t tokens = 0) const {
    AnswerFigures out;
    out.tokens = tokens == 0 ? count_ : tokens;
    if (count_ == 0) return out;
    const auto seconds = [](auto from, auto to) {
      return std::chrono::duration<double>(to - from).count();
    };
    out.first_s = seconds(begin_, first_);
    const double rest = seconds(first_, last_);
    if (out.tokens > 1 && rest > 0) out.tokens_per_s = static_cast<double>(out.tokens - 1) / rest;
    return out;
  }

private:
  using Clock = std::chrono::steady_clock;
  const Clock::time_point begin_ = Clock::now();
  Clock::time_point first_;
  Clock::time_point last_;
  std::size_t count_ = 0;
};

} // namespace talaria::cli
