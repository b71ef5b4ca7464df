#include "cli/web/event_lines.hpp"

#include <utility>

#include "core/error.hpp"

namespace talaria::cli {

bool EventLines::feed(std::string_view bytes,
                      const std::function<bool(const std::string& data)>& event) {
  for (const char c : bytes) {
    if (c != '\n') {
      line_ += c;
      if (line_.size() + data_.size() > kMost)
        throw Error(Errc::io, "the server sends an event that is too long");
      continue;
    }
    if (line_.ends_with('\r')) line_.pop_back();
    if (!end_line(event)) return false;
    line_.clear();
  }
  return true;
}

bool EventLines::end_line(const std::function<bool(const std::string& data)>& event) {
  if (line_.empty()) {
    if (!std::exchange(has_data_, false)) return true;
    return event(std::exchange(data_, {}));
  }
  constexpr std::string_view kData = "data:";
  if (!line_.starts_with(kData)) return true;
  std::string_view value = std::string_view(line_).substr(kData.size());
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (std::exchange(has_data_, true)) data_ += '\n';
  data_ += value;
  return true;
}

} // namespace talaria::cli
