#pragma once

#include <string>
#include <string_view>

namespace talaria::cli {

/// A line that somebody typed into the chat.
struct ChatLine {
  enum class Kind { message, system, save, reset, status, help, quit, unknown };
  Kind kind = Kind::message;
  std::string text; ///< the message, what stands behind a command, or the unknown command's name
};

/// "/save FILE" and its kind; "//..." is a message that begins with one slash. Blanks around
/// commands do not matter.
ChatLine parse_chat_line(std::string_view line);

/// What /help prints.
extern const std::string_view kChatHelp;

/// `text` without what would control a terminal: an answer may hold anything. Keeps line ends and
/// tabs.
std::string for_terminal(std::string_view text);

} // namespace talaria::cli
