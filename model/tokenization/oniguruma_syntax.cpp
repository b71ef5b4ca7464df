#include "model/tokenization/oniguruma_syntax.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include <fmt/format.h>

#include "core/error.hpp"
#include "model/one_line.hpp"

namespace talaria::model {

namespace {

// White_Space, spelled out: PCRE2's own \s also matches U+180E, and Oniguruma's does not.
constexpr std::string_view space =
    R"(\x09-\x0d\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr std::string_view not_space =
    R"(\x00-\x08\x0e-\x1f\x21-\x{84}\x{86}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff})"
    R"(\x{200b}-\x{2027}\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{10ffff})";

constexpr std::array<std::string_view, 9> plain_groups = {"?:", "?=",  "?!",  "?<=", "?<!",
                                                          "?>", "?i:", "?i)", "?-i:"};

class Translator {
public:
  Translator(std::string_view pattern, const std::string& where)
      : pattern_(pattern), where_(where) {}

  std::string run() {
    while (at_ < pattern_.size()) {
      switch (pattern_[at_]) {
      case '\\':
        escape(false);
        break;
      case '[':
        character_class();
        break;
      case '(':
        group();
        break;
      case '{':
        interval();
        break;
      default:
        out_.push_back(pattern_[at_++]);
      }
    }
    return std::move(out_);
  }

private:
  [[noreturn]] void refuse(std::string_view construct) const {
    throw Error(Errc::model, one_line(fmt::format(
                                 "{}: the pattern uses {} (byte {}), which is not supported: {}",
                                 where_, construct, at_, pattern_)));
  }

  bool next_is(std::string_view text) const {
    return pattern_.substr(std::min(at_, pattern_.size())).starts_with(text);
  }

  void escape(bool in_class) {
    if (at_ + 1 == pattern_.size()) refuse("a lone backslash");
    const char c = pattern_[at_ + 1];
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) return copy(2);
    switch (c) {
    case 'r':
    case 'n':
    case 't':
    case 'f':
    case 'a':
    case 'e':
    case 'd':
    case 'D':
      return copy(2);
    case 'v':
      return replace(2, "\\x0b");
    case 's':
      return replace(2, in_class ? std::string(space) : fmt::format("[{}]", space));
    case 'S':
      return replace(2, in_class ? std::string(not_space) : fmt::format("[^{}]", space));
    case 'p':
    case 'P':
      return property();
    case 'u':
      return code_point(4, at_ + 2);
    case 'x':
      return hexadecimal();
    default:
      refuse(fmt::format("\\{}", c));
    }
  }

  void copy(std::size_t count) {
    out_.append(pattern_, at_, count);
    at_ += count;
  }

  void replace(std::size_t count, const std::string& with) {
    out_.append(with);
    at_ += count;
  }

  /// General categories mean the same; a script needs `sc:`, since PCRE2's default is its
  /// extensions.
  void property() {
    const std::size_t close = pattern_.find('}', at_);
    if (at_ + 2 >= pattern_.size() || pattern_[at_ + 2] != '{' || close == std::string_view::npos)
      refuse("\\p without braces");
    std::string_view name = pattern_.substr(at_ + 3, close - at_ - 3);
    const std::string_view caret = name.starts_with('^') ? "^" : "";
    name.remove_prefix(caret.size());
    const bool named = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
      return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_';
    });
    if (!named) refuse(pattern_.substr(at_, close + 1 - at_));
    out_ +=
        fmt::format("\\{}{{{}{}{}}}", pattern_[at_ + 1], caret, name.size() > 2 ? "sc:" : "", name);
    at_ = close + 1;
  }

  void hexadecimal() {
    if (next_is("\\x{")) {
      const std::size_t close = pattern_.find('}', at_);
      if (close == std::string_view::npos) refuse("\\x{ without }");
      return copy(close + 1 - at_);
    }
    // Beyond ASCII, Oniguruma's \xHH is a byte and not a character.
    if (at_ + 2 >= pattern_.size() || pattern_[at_ + 2] > '7') refuse("\\x above 7f");
    code_point(2, at_ + 2);
  }

  void code_point(std::size_t digits, std::size_t from) {
    const std::string_view text = pattern_.substr(std::min(from, pattern_.size()), digits);
    const bool good = text.size() == digits && std::all_of(text.begin(), text.end(), [](char c) {
                        return std::isxdigit(static_cast<unsigned char>(c)) != 0;
                      });
    if (!good) refuse("an incomplete character code");
    replace(2 + digits, fmt::format("\\x{{{}}}", text));
  }

  void character_class() {
    copy(1);
    if (next_is("^")) copy(1);
    if (next_is("]")) refuse("a character class that begins with ]");
    while (!next_is("]")) {
      if (at_ >= pattern_.size()) refuse("a character class without ]");
      if (next_is("[")) refuse("a class inside a character class");
      if (next_is("&&")) refuse("&& in a character class");
      if (next_is("\\"))
        escape(true);
      else
        copy(1);
    }
    copy(1);
  }

  void group() {
    copy(1);
    if (next_is("*")) refuse("(*");
    if (!next_is("?")) return;
    for (const std::string_view known : plain_groups) {
      if (next_is(known)) return copy(known.size());
    }
    refuse(fmt::format("the group ({}", pattern_.substr(at_, 3)));
  }

  /// {n}, {n,}, {n,m}: the same in both, unless another quantifier follows.
  void interval() {
    const std::size_t begin = at_;
    const auto digits = [&] {
      const std::size_t from = at_;
      while (at_ < pattern_.size() && std::isdigit(static_cast<unsigned char>(pattern_[at_])) != 0)
        copy(1);
      return at_ != from;
    };
    copy(1);
    const bool lower = digits();
    bool range = false;
    if (next_is(",")) {
      range = true;
      copy(1);
      digits();
    }
    if (!lower || !next_is("}")) {
      at_ = begin;
      refuse("{ that is not {n}, {n,} or {n,m}");
    }
    copy(1);
    if (next_is("+") || (next_is("?") && !range)) refuse("a quantifier after {...}");
  }

  std::string_view pattern_;
  const std::string& where_;
  std::size_t at_ = 0;
  std::string out_;
};

} // namespace

std::string pcre2_from_oniguruma(std::string_view pattern, const std::string& where) {
  return Translator(pattern, where).run();
}

} // namespace talaria::model
