#include "export/shell.hpp"

#include <algorithm>

namespace talaria::exporting {

std::string shell_word(std::string_view word) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                      "0123456789-_./:@%+=,";
  if (!word.empty() && word.find_first_not_of(kPlain) == word.npos) return std::string(word);
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}

std::string shell_line(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + shell_word(word);
  return out;
}

std::string markdown_code(std::string_view text) {
  std::string out;
  for (const char c : text)
    out += c == '`' ? "'" : c == '|' ? "\\|" : c < ' ' && c >= 0 ? " " : std::string(1, c);
  return "`" + out + "`";
}

} // namespace talaria::exporting
