#include "model/jinja/string_literal.hpp"

#include <algorithm>
#include <charconv>

#include "core/integers.hpp"
#include "model/utf8.hpp"

namespace talaria::model::jinja {

namespace {

constexpr std::string_view simple_codes = "\\'\"abfnrtv";
constexpr std::string_view simple_values = "\\'\"\a\b\f\n\r\t\v";

/// Exactly `digits` digits of `base` at the beginning of `text`, as a character.
bool append_code(std::string& out, std::string_view text, std::size_t digits, int base) {
  u32 value = 0;
  if (text.size() < digits) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, value, base);
  if (error != std::errc{} || end != text.data() + digits) return false;
  if (value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) return false;
  utf8::append(out, value);
  return true;
}

std::size_t octal_digits(std::string_view text) {
  std::size_t count = 0;
  while (count < 3 && count < text.size() && text[count] >= '0' && text[count] <= '7') ++count;
  return count;
}

/// Resolves the escape whose code letter begins `text`; its length, or 0.
std::size_t resolve(std::string& out, std::string_view text) {
  const char code = text.front();
  if (code == '\n') return 1;
  if (const std::size_t at = simple_codes.find(code); at != std::string_view::npos) {
    out.push_back(simple_values[at]);
    return 1;
  }
  if (const std::size_t digits = octal_digits(text); digits != 0)
    return append_code(out, text, digits, 8) ? digits : 0;
  const std::size_t digits = code == 'x' ? 2 : code == 'u' ? 4 : code == 'U' ? 8 : 0;
  if (digits != 0) return append_code(out, text.substr(1), digits, 16) ? 1 + digits : 0;
  if (code == 'N') return 0;
  out.push_back('\\'); // Python leaves an unknown escape as it is
  const std::size_t length = utf8::step(text, 0).length;
  out.append(text, 0, length);
  return length;
}

} // namespace

std::optional<std::string> unescape(std::string_view body) {
  std::string out;
  for (std::size_t at = 0; at < body.size();) {
    if (body[at] != '\\') {
      out.push_back(body[at++]);
      continue;
    }
    if (++at == body.size()) return std::nullopt;
    const std::size_t length = resolve(out, body.substr(at));
    if (length == 0) return std::nullopt;
    at += length;
  }
  return out;
}

} // namespace talaria::model::jinja
