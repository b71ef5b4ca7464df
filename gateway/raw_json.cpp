#include "gateway/raw_json.hpp"

#include <nlohmann/json.hpp>

namespace talaria::gateway {

namespace {

/// Reads a text that is known to be JSON; ends early, and never outside, where it is not.
class JsonScanner {
public:
  explicit JsonScanner(std::string_view text) : text_(text) {}

  bool next_is(char wanted) {
    skip_blanks();
    return at_ < text_.size() && text_[at_] == wanted;
  }
  bool take(char wanted) {
    if (!next_is(wanted)) return false;
    ++at_;
    return true;
  }
  /// The next value, or the next key.
  std::string_view value() {
    skip_blanks();
    const std::size_t begin = at_;
    int depth = 0;
    do {
      if (at_ >= text_.size()) break;
      const char c = text_[at_];
      if (c == '"') {
        string();
      } else if (c == '{' || c == '[') {
        ++depth;
        ++at_;
      } else if (c == '}' || c == ']') {
        --depth;
        ++at_;
      } else if (depth == 0) {
        literal();
      } else {
        ++at_;
      }
    } while (depth > 0);
    return text_.substr(begin, at_ - begin);
  }

private:
  void skip_blanks() {
    constexpr std::string_view kBlanks = " \t\n\r";
    while (at_ < text_.size() && kBlanks.find(text_[at_]) != std::string_view::npos) ++at_;
  }
  void string() {
    for (++at_; at_ < text_.size() && text_[at_] != '"'; ++at_)
      if (text_[at_] == '\\') ++at_;
    at_ = std::min(at_ + 1, text_.size());
  }
  void literal() { at_ = std::min(text_.find_first_of(",]} \t\n\r", at_), text_.size()); }

  std::string_view text_;
  std::size_t at_ = 0;
};

bool is_key(std::string_view raw, std::string_view key) {
  if (raw.find('\\') == std::string_view::npos)
    return raw.size() == key.size() + 2 && raw.substr(1, key.size()) == key;
  return nlohmann::json::parse(raw) == key;
}

} // namespace

std::optional<std::string_view> raw_member(std::string_view object, std::string_view key) {
  JsonScanner scanner(object);
  if (!scanner.take('{')) return std::nullopt;
  while (scanner.next_is('"')) {
    const std::string_view name = scanner.value();
    if (!scanner.take(':')) break;
    const std::string_view value = scanner.value();
    if (is_key(name, key)) return value;
    if (!scanner.take(',')) break;
  }
  return std::nullopt;
}

std::string compact_json(std::string_view text) {
  std::string out;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool is_blank = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    if (!in_string && is_blank) continue;
    out += c;
    if (in_string && c == '\\' && i + 1 < text.size())
      out += text[++i];
    else if (c == '"')
      in_string = !in_string;
  }
  return out;
}

std::vector<std::string_view> raw_elements(std::string_view list) {
  std::vector<std::string_view> out;
  JsonScanner scanner(list);
  if (!scanner.take('[') || scanner.next_is(']')) return out;
  do out.push_back(scanner.value());
  while (scanner.take(','));
  return out;
}

} // namespace talaria::gateway
