#include "cli/chat/chat_line.hpp"

#include <array>

namespace talaria::cli {

namespace {

using ChatKind = ChatLine::Kind;

struct ChatCommandName {
  std::string_view name;
  ChatKind kind;
};

constexpr std::array<ChatCommandName, 8> kChatCommands{{{"/system", ChatKind::system},
                                                        {"/save", ChatKind::save},
                                                        {"/reset", ChatKind::reset},
                                                        {"/status", ChatKind::status},
                                                        {"/help", ChatKind::help},
                                                        {"/?", ChatKind::help},
                                                        {"/quit", ChatKind::quit},
                                                        {"/exit", ChatKind::quit}}};

constexpr std::string_view kBlanks = " \t\r";

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
}

} // namespace

const std::string_view kChatHelp =
    "  /system TEXT   sets the system message from now on; without TEXT: takes it out\n"
    "  /save FILE     writes the conversation: JSON if the name ends in .json, else Markdown\n"
    "  /reset         forgets the conversation, not the system message\n"
    "  /status        who answers, and what is known of him\n"
    "  /quit          ends, as Ctrl-D does\n"
    "A message of several lines: end lines with \\, or put it between two lines \"\"\".\n"
    "Ctrl-C ends an answer; at the prompt it drops the line, and twice it ends the program.\n"
    "A message that begins with a slash is written with two.\n";

ChatLine parse_chat_line(std::string_view line) {
  const std::string_view text = trimmed(line);
  if (!text.starts_with('/')) return {ChatKind::message, std::string(line)};
  if (text.starts_with("//")) return {ChatKind::message, std::string(text.substr(1))};
  const std::string_view name = text.substr(0, text.find_first_of(kBlanks));
  for (const auto& command : kChatCommands)
    if (command.name == name) return {command.kind, std::string(trimmed(text.substr(name.size())))};
  return {ChatKind::unknown, std::string(name)};
}

std::string for_terminal(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f) continue;
    // U+0080 to U+009F, of which some terminals take U+009B as the beginning of a command.
    const bool is_c1 = c == 0xc2 && i + 1 < text.size() &&
                       static_cast<unsigned char>(text[i + 1]) >= 0x80 &&
                       static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (is_c1)
      ++i;
    else
      out += text[i];
  }
  return out;
}

} // namespace talaria::cli
