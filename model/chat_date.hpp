#pragma once

#include <ctime>
#include <optional>
#include <string>
#include <string_view>

namespace talaria::model {

/// The moment that a chat template may ask for by strftime_now.
class ChatDate {
public:
  /// Now, in local time.
  static ChatDate today();
  /// "2026-11-30", at midnight. @throws Error{usage} naming `field` for what is no such date.
  static ChatDate fixed(std::string_view text, const std::string& field);
  /// strftime in the C locale, as Python's datetime has it: no time zone, no microseconds.
  std::string format(const std::string& format) const;

private:
  std::tm moment_{};
};

/// What a chat template is told when it asks for the date.
class ChatClock {
public:
  ChatClock() = default; ///< strftime_now is not defined
  static ChatClock today();
  static ChatClock fixed(const ChatDate& date);
  /// "today" or a date. @throws Error{usage} naming `field`.
  static ChatClock parse(std::string_view text, const std::string& field);

  std::optional<ChatDate> now() const;

private:
  bool running_ = false;
  std::optional<ChatDate> fixed_;
};

} // namespace talaria::model
