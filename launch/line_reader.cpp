#include "launch/line_reader.hpp"

#include <algorithm>

namespace talaria::launch {

void LineReader::feed(std::string_view bytes, const Take& take) {
  while (!bytes.empty()) {
    const std::size_t end = std::min(bytes.find('\n'), bytes.size());
    const std::size_t room = limit_ - std::min(limit_, line_.size());
    line_.append(bytes.substr(0, std::min(end, room)));
    if (end == bytes.size()) return;
    bytes.remove_prefix(end + 1);
    const std::string line = std::move(line_);
    line_.clear();
    take(line);
  }
}

void LineReader::finish(const Take& take) {
  if (line_.empty()) return;
  const std::string line = std::move(line_);
  line_.clear();
  take(line);
}

std::string one_line(std::string_view text, std::size_t limit) {
  const auto continues = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; };
  std::size_t shown = std::min(text.size(), limit);
  while (shown > 0 && shown < text.size() && continues(text[shown])) --shown;
  std::string line;
  for (std::size_t i = 0; i < shown; ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    // C1 controls, which some terminals obey, are C2 80 to C2 9F in UTF-8.
    const bool is_c1 = c == 0xC2 && i + 1 < shown && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    if (is_c1) ++i;
    line += c < 0x20 || c == 0x7F || is_c1 ? '?' : text[i];
  }
  return shown < text.size() ? line + "..." : line;
}

} // namespace talaria::launch
