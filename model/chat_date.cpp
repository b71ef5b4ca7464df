#include "model/chat_date.hpp"

#include <charconv>
#include <vector>

#include <fmt/format.h>

#include "core/error.hpp"

namespace talaria::model {

namespace {

/// The number in decimal digits `text`, or -1.
int digits(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() && text[0] != '-' ? value : -1;
}

} // namespace

ChatDate ChatDate::today() {
  ChatDate out;
  const std::time_t now = std::time(nullptr);
  localtime_r(&now, &out.moment_);
  return out;
}

ChatDate ChatDate::fixed(std::string_view text, const std::string& field) {
  const auto refuse = [&] {
    throw Error(Errc::usage,
                fmt::format("{}: {} is no date; write it as 2026-11-30, or today", field, text));
  };
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') refuse();
  ChatDate out;
  out.moment_.tm_year = digits(text.substr(0, 4)) - 1900;
  out.moment_.tm_mon = digits(text.substr(5, 2)) - 1;
  out.moment_.tm_mday = digits(text.substr(8, 2));
  const std::tm wanted = out.moment_;
  timegm(&out.moment_); // sets the day of the week, and moves a day that is not there
  if (wanted.tm_year < 0 || out.moment_.tm_year != wanted.tm_year ||
      out.moment_.tm_mon != wanted.tm_mon || out.moment_.tm_mday != wanted.tm_mday)
    refuse();
  return out;
}

std::string ChatDate::format(const std::string& format) const {
  std::string known; // what Python resolves itself for a time without a zone
  for (std::size_t at = 0; at < format.size(); ++at) {
    const char code = format[at] == '%' && at + 1 < format.size() ? format[at + 1] : '\0';
    if (code == '\0') {
      known.push_back(format[at]);
      continue;
    }
    ++at;
    if (code == 'f')
      known += "000000";
    else if (code != 'z' && code != 'Z')
      known += {'%', code};
  }
  if (known.empty()) return {};
  known.push_back('.'); // so that an empty result is not an error
  std::vector<char> out(64 + 64 * known.size());
  const std::size_t length = std::strftime(out.data(), out.size(), known.c_str(), &moment_);
  return length == 0 ? std::string() : std::string(out.data(), length - 1);
}

ChatClock ChatClock::today() {
  ChatClock out;
  out.running_ = true;
  return out;
}

ChatClock ChatClock::fixed(const ChatDate& date) {
  ChatClock out;
  out.fixed_ = date;
  return out;
}

ChatClock ChatClock::parse(std::string_view text, const std::string& field) {
  return text == "today" ? today() : fixed(ChatDate::fixed(text, field));
}

std::optional<ChatDate> ChatClock::now() const {
  return running_ ? std::optional(ChatDate::today()) : fixed_;
}

} // namespace talaria::model
