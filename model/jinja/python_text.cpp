#include "model/jinja/python_text.hpp"

#include <algorithm>

#include "model/unicode.hpp"
#include "model/utf8.hpp"

namespace talaria::model::jinja::python {

bool is_space(char32_t c) {
  return unicode::is_white_space(c) || (c >= 0x1c && c <= 0x1f);
}

namespace {

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

std::vector<std::string_view> split_at_spaces(std::string_view text, i64 limit) {
  std::vector<std::string_view> out;
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
    out.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  out.push_back(text);
  return out;
}

/// In reverse order.
std::vector<std::string_view> split_at_last_spaces(std::string_view text, i64 limit) {
  std::vector<std::string_view> out;
  while (true) {
    text = strip(text, nullptr, false, true);
    if (text.empty()) return out;
    if (limit >= 0 && static_cast<i64>(out.size()) == limit) break;
    std::size_t begin = text.size();
    while (begin > 0) {
      const std::size_t at = last_character(text.substr(0, begin));
      if (is_space(utf8::step(text, at).code_point)) break;
      begin = at;
    }
    out.push_back(text.substr(begin));
    text.remove_suffix(text.size() - begin);
  }
  out.push_back(text);
  return out;
}

/// What ends a line for str.splitlines.
bool ends_line(char32_t c) {
  return (c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
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

std::vector<std::string_view> split(std::string_view text, const std::string* separator,
                                    i64 limit) {
  if (separator == nullptr) return split_at_spaces(text, limit);
  std::vector<std::string_view> out;
  while (limit < 0 || static_cast<i64>(out.size()) < limit) {
    const std::size_t at = text.find(*separator);
    if (at == std::string_view::npos) break;
    out.push_back(text.substr(0, at));
    text.remove_prefix(at + separator->size());
  }
  out.push_back(text);
  return out;
}

std::vector<std::string_view> rsplit(std::string_view text, const std::string* separator,
                                     i64 limit) {
  std::vector<std::string_view> out;
  if (separator == nullptr) {
    out = split_at_last_spaces(text, limit);
  } else {
    while (limit < 0 || static_cast<i64>(out.size()) < limit) {
      const std::size_t at = text.rfind(*separator);
      if (at == std::string_view::npos) break;
      out.push_back(text.substr(at + separator->size()));
      text = text.substr(0, at);
    }
    out.push_back(text);
  }
  std::reverse(out.begin(), out.end());
  return out;
}

std::vector<std::string_view> lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> out;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const utf8::Step next = utf8::step(text, at);
    const std::size_t end = at;
    at += next.length;
    if (!ends_line(next.code_point)) continue;
    if (next.code_point == U'\r' && at < text.size() && text[at] == '\n') ++at;
    out.push_back(text.substr(begin, (keep_ends ? at : end) - begin));
    begin = at;
  }
  if (begin < text.size()) out.push_back(text.substr(begin));
  return out;
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
