#include "model/jinja/python_text.hpp"

#include <algorithm>

#include "model/unicode.hpp"
#include "model/utf8.hpp"

namespace talaria::model::jinja::python {

namespace {

bool is_space(char32_t c) {
  return unicode::is_white_space(c) || (c >= 0x1c && c <= 0x1f);
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<signed char>(c) >= 0; });
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
char to_upper(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}
char to_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

/// Where the last character of a non-empty text begins.
std::size_t last_character(std::string_view text) {
  std::size_t at = text.size() - 1;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  return at;
}

std::vector<std::string> split_at_spaces(std::string_view text, i64 limit) {
  std::vector<std::string> out;
  while (true) {
    text = strip(text, nullptr, true, false);
    if (text.empty()) return out;
    if (limit >= 0 && static_cast<i64>(out.size()) == limit) break;
    std::size_t end = 0;
    while (end < text.size()) {
      const utf8::Step next = utf8::step(text, end);
      if (is_space(next.code_point)) break;
      end += next.length;
    }
    out.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  out.emplace_back(text);
  return out;
}

/// Upper case where a letter follows `starts(previous)`, lower case elsewhere.
template <class Starts>
std::optional<std::string> title(std::string_view text, Starts starts) {
  if (!is_ascii(text)) return std::nullopt;
  std::string out(text);
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = i == 0 || starts(text[i - 1]) ? to_upper(text[i]) : to_lower(text[i]);
  return out;
}

} // namespace

std::string_view strip(std::string_view text, const std::string* characters, bool left,
                       bool right) {
  const std::u32string set = characters != nullptr ? utf8::to_code_points(*characters) : U"";
  const auto goes = [&](char32_t c) {
    return characters == nullptr ? is_space(c) : set.find(c) != std::u32string::npos;
  };
  while (left && !text.empty()) {
    const utf8::Step next = utf8::step(text, 0);
    if (!next.valid || !goes(next.code_point)) break;
    text.remove_prefix(next.length);
  }
  while (right && !text.empty()) {
    const std::size_t at = last_character(text);
    const utf8::Step last = utf8::step(text, at);
    if (!last.valid || !goes(last.code_point)) break;
    text.remove_suffix(text.size() - at);
  }
  return text;
}

std::vector<std::string> split(std::string_view text, const std::string* separator, i64 limit) {
  if (separator == nullptr) return split_at_spaces(text, limit);
  std::vector<std::string> out;
  while (limit < 0 || static_cast<i64>(out.size()) < limit) {
    const std::size_t at = text.find(*separator);
    if (at == std::string_view::npos) break;
    out.emplace_back(text.substr(0, at));
    text.remove_prefix(at + separator->size());
  }
  out.emplace_back(text);
  return out;
}

std::string replace(std::string_view text, std::string_view from, std::string_view to, i64 limit) {
  std::string out;
  std::size_t at = 0;
  for (; limit != 0; --limit) {
    const std::size_t found = text.find(from, at);
    if (found == std::string_view::npos) break;
    out.append(text, at, found - at).append(to);
    at = found + from.size();
  }
  return out.append(text, at);
}

std::optional<std::string> title_filter(std::string_view text) {
  return title(text, [](char c) {
    return std::string_view("-({[<").find(c) != std::string_view::npos ||
           is_space(static_cast<unsigned char>(c));
  });
}

std::optional<std::string> title_method(std::string_view text) {
  return title(text, [](char c) { return !is_letter(c); });
}

std::optional<std::string> capitalize(std::string_view text) {
  return title(text, [](char) { return false; });
}

} // namespace talaria::model::jinja::python
