#include "model/jinja/lexer.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstdlib>

#include "model/jinja/budget.hpp"
#include "model/jinja/python_text.hpp"
#include "model/jinja/string_literal.hpp"

namespace talaria::model::jinja {

namespace {

constexpr std::array<std::string_view, 6> long_symbols = {"//", "**", "==", "!=", ">=", "<="};
constexpr std::string_view short_symbols = "+-/*%~[](){}><=.:|,;";

bool is_space(char c) {
  return (c >= '\t' && c <= '\r') || (c >= '\x1c' && c <= '\x1f') || c == ' ';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_name(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

/// \r\n and \r become \n; one newline at the very end goes.
std::string normalize_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out.push_back(source[i]);
      continue;
    }
    out.push_back('\n');
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

class Lexer {
public:
  Lexer(std::string_view source, const std::string& file)
      : source_(normalize_newlines(source)), file_(file) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) {
      const std::size_t tag = find_tag();
      const std::string_view data = std::string_view(source_).substr(at_, tag - at_);
      if (tag == source_.size()) {
        emit_data(data);
        break;
      }
      emit_data(before_tag(data, tag));
      advance(tag);
      open_tag();
    }
    tokens_.push_back({TokenKind::end, "end of the template", line_});
    return std::move(tokens_);
  }

private:
  template <class... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
    Budget none;
    Site(file_, line_, none).fail(format, std::forward<Args>(args)...);
  }

  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0';
  }
  bool next_is(std::string_view text) const {
    return std::string_view(source_).substr(at_).starts_with(text);
  }
  void advance(std::size_t to) {
    line_ += static_cast<u32>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(to), '\n'));
    at_ = to;
  }
  void emit(TokenKind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }
  void emit_data(std::string_view text) {
    if (!text.empty()) emit(TokenKind::data, std::string(text));
  }

  std::size_t find_tag() const {
    std::size_t at = at_;
    while ((at = source_.find('{', at)) != std::string::npos) {
      const char next = at + 1 < source_.size() ? source_[at + 1] : '\0';
      if (next == '{' || next == '%' || next == '#') return at;
      ++at;
    }
    return source_.size();
  }

  /// What the tag at `tag` leaves of the text before it.
  std::string_view before_tag(std::string_view data, std::size_t tag) const {
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    if (sign == '-') return python::strip(data, nullptr, false, true);
    if (sign == '+' || source_[tag + 1] == '{') return data;
    const std::size_t newline = data.rfind('\n');
    const std::size_t begin = newline == std::string_view::npos ? 0 : newline + 1;
    if (begin == 0 && !line_starts_) return data;
    const bool blank = python::strip(data.substr(begin), nullptr, true, true).empty();
    return blank ? data.substr(0, begin) : data;
  }

  void open_tag() {
    const char kind = source_[at_ + 1];
    const bool sign = peek(2) == '-' || peek(2) == '+';
    if (kind == '#') return skip_comment(at_ + (sign ? 3 : 2));
    if (kind == '%' && raw_block()) return;
    emit(kind == '{' ? TokenKind::variable_begin : TokenKind::block_begin, "{");
    at_ += sign ? 3 : 2;
    while (!close_tag(kind)) inside_tag();
  }

  /// The length of a tag with nothing but `name` at `at`, or 0; `sign` is what stands before its
  /// end, one of `signs`, or nothing.
  std::size_t simple_tag(std::size_t at, std::string_view name, std::string_view signs,
                         char& sign) const {
    const std::size_t begin = at;
    at += 2;
    if (at < source_.size() && (source_[at] == '-' || source_[at] == '+')) ++at;
    const auto skip_spaces = [&] {
      while (at < source_.size() && is_space(source_[at])) ++at;
    };
    skip_spaces();
    if (!std::string_view(source_).substr(at).starts_with(name)) return 0;
    at += name.size();
    skip_spaces();
    sign = at < source_.size() && signs.find(source_[at]) != std::string_view::npos ? source_[at]
                                                                                    : '\0';
    if (sign != '\0') ++at;
    return std::string_view(source_).substr(at).starts_with("%}") ? at + 2 - begin : 0;
  }

  /// {% raw %}...{% endraw %} is text. False if no such block begins here.
  bool raw_block() {
    char sign = '\0';
    const std::size_t length = simple_tag(at_, "raw", "-", sign);
    if (length == 0) return false;
    advance(at_ + length);
    after_tag(sign, false); // the newline behind it stays, other than behind other blocks
    for (std::size_t end = at_; (end = source_.find("{%", end)) != std::string::npos; end += 2) {
      const std::size_t closing = simple_tag(end, "endraw", "-+", sign);
      if (closing == 0) continue;
      emit_data(before_tag(std::string_view(source_).substr(at_, end - at_), end));
      advance(end + closing);
      after_tag(sign, true);
      return true;
    }
    fail("a raw block has no end");
  }

  void skip_comment(std::size_t from) {
    const std::size_t end = source_.find("#}", from);
    if (end == std::string::npos) fail("a comment has no end");
    const char sign = end > from ? source_[end - 1] : '\0';
    advance(end + 2);
    after_tag(sign, true);
  }

  /// Whitespace that the end of a tag swallows.
  void after_tag(char sign, bool trims_newline) {
    if (sign == '-') {
      const std::string_view rest = std::string_view(source_).substr(at_);
      advance(at_ + rest.size() - python::strip(rest, nullptr, true, false).size());
    } else if (sign != '+' && trims_newline && peek() == '\n') {
      advance(at_ + 1);
    }
    line_starts_ = source_[at_ - 1] == '\n';
  }

  bool close_tag(char kind) {
    while (is_space(peek()) && at_ < source_.size()) advance(at_ + 1);
    if (at_ >= source_.size()) fail("a tag has no end");
    if (!open_brackets_.empty()) return false;
    const std::string_view close = kind == '{' ? "}}" : "%}";
    const bool signable = peek() == '-' || (peek() == '+' && kind == '%');
    const char sign =
        signable && std::string_view(source_).substr(at_ + 1).starts_with(close) ? peek() : '\0';
    if (sign == '\0' && !next_is(close)) return false;
    emit(kind == '{' ? TokenKind::variable_end : TokenKind::block_end, std::string(close));
    advance(at_ + (sign == '\0' ? 2 : 3));
    after_tag(sign, kind == '%');
    return true;
  }

  void inside_tag() {
    const char c = peek();
    if (is_digit(c)) return number();
    if (is_name(c)) return name();
    if (c == '"' || c == '\'') return string(c);
    for (const std::string_view symbol : long_symbols) {
      if (!next_is(symbol)) continue;
      emit(TokenKind::symbol, std::string(symbol));
      at_ += 2;
      return;
    }
    if (short_symbols.find(c) == std::string_view::npos || c == '\0')
      fail("a tag holds a character that means nothing there (code {})",
           static_cast<unsigned>(static_cast<unsigned char>(c)));
    balance(c);
    emit(TokenKind::symbol, std::string(1, c));
    ++at_;
  }

  void balance(char c) {
    if (c == '(' || c == '[' || c == '{') {
      open_brackets_.push_back(c == '(' ? ')' : c == '[' ? ']' : '}');
    } else if (c == ')' || c == ']' || c == '}') {
      if (open_brackets_.empty() || open_brackets_.back() != c) fail("unexpected {}", c);
      open_brackets_.pop_back();
    }
  }

  void name() {
    std::size_t end = at_;
    while (end < source_.size() && is_name(source_[end])) ++end;
    emit(TokenKind::name, source_.substr(at_, end - at_));
    at_ = end;
  }

  char at(std::size_t place) const { return place < source_.size() ? source_[place] : '\0'; }

  /// Where the digits from `place` on end.
  std::size_t digits_end(std::size_t place) const {
    while (is_digit(at(place))) ++place;
    return place;
  }

  void number() {
    std::size_t end = digits_end(at_);
    const bool follows_dot = at_ > 0 && source_[at_ - 1] == '.'; // of an attribute: x.0.1
    bool real = false;
    if (!follows_dot && at(end) == '.' && is_digit(at(end + 1))) {
      end = digits_end(end + 1);
      real = true;
    }
    if (!follows_dot && (at(end) == 'e' || at(end) == 'E')) {
      const std::size_t sign = at(end + 1) == '-' || at(end + 1) == '+' ? 1 : 0;
      if (is_digit(at(end + 1 + sign))) {
        end = digits_end(end + 1 + sign);
        real = true;
      }
    }
    if (is_name(at(end))) fail("a number that is neither decimal digits nor a float");
    if (!real) return integer(end);
    if (end - at_ > 300 ||
        !std::isfinite(std::strtod(source_.substr(at_, end - at_).c_str(), nullptr)))
      fail("a float is too large");
    emit(TokenKind::real, source_.substr(at_, end - at_));
    at_ = end;
  }

  void integer(std::size_t end) {
    if (end - at_ > 1 && peek() == '0') fail("an integer begins with 0");
    if (end - at_ > 18) fail("an integer is too large");
    emit(TokenKind::integer, source_.substr(at_, end - at_));
    at_ = end;
  }

  void string(char quote) {
    std::size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) fail("a string has no end");
    const std::string_view body = std::string_view(source_).substr(at_ + 1, end - at_ - 1);
    const auto value = unescape(body);
    if (!value) fail("a string holds an escape sequence that is not supported");
    emit(TokenKind::string, *value);
    advance(end + 1);
  }

  std::string source_;
  const std::string& file_;
  std::size_t at_ = 0;
  u32 line_ = 1;
  bool line_starts_ = true; // the text that comes next begins a line
  std::vector<char> open_brackets_;
  std::vector<Token> tokens_;
};

} // namespace

std::vector<Token> tokenize(std::string_view source, const std::string& file) {
  return Lexer(source, file).run();
}

} // namespace talaria::model::jinja
