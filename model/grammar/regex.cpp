#include "model/grammar/regex.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <string>

#include "core/error.hpp"

namespace talaria::model::grammar {

namespace {

constexpr int kDeepestGroup = 64;

const CodePoints& beyond_ascii() {
  static const CodePoints all{{0x80, kLastCharacter}};
  return all;
}

CharacterSet everything_but_newlines() {
  CharacterSet set;
  set.ascii.set();
  set.ascii.reset('\n');
  set.ascii.reset('\r');
  set.others = complement({{0x2028, 0x2029}}, 0x80);
  return set;
}

CharacterSet opposite(CharacterSet set) {
  set.ascii.flip();
  set.others = complement(std::move(set.others), 0x80);
  return set;
}

/// \d, \w, \s and their opposites.
std::optional<CharacterSet> named_set(char name) {
  CharacterSet set;
  switch (name) {
  case 'd':
  case 'D':
    for (char c = '0'; c <= '9'; ++c) set.ascii.set(static_cast<std::size_t>(c));
    break;
  case 'w':
  case 'W':
    for (unsigned c = 0; c < 128; ++c)
      if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_')
        set.ascii.set(c);
    break;
  case 's':
  case 'S':
    for (const char c : {' ', '\t', '\n', '\r', '\f', '\v'})
      set.ascii.set(static_cast<std::size_t>(c));
    set.others = {{0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200A}, {0x2028, 0x2029},
                  {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
    break;
  default:
    return std::nullopt;
  }
  return name >= 'a' ? set : opposite(set);
}

class RegexParser {
public:
  RegexParser(std::string_view pattern, const CharacterWriter& writer)
      : pattern_(pattern), writer_(writer) {}

  Expression parse(bool whole) {
    std::vector<Expression> parts;
    const bool from_start = take('^');
    if (!whole && !from_start) parts.push_back(anything());
    bool to_end = false;
    if (pattern_.ends_with('$') && !pattern_.ends_with("\\$")) {
      pattern_.remove_suffix(1);
      to_end = true;
    }
    const std::size_t begin = at_;
    parts.push_back(alternatives(0));
    // In ^a|b$ each sign belongs to one side only.
    if (top_alternatives_ && (from_start || to_end) && !whole)
      fail(begin, "alternatives with ^ or $ outside a group");
    if (at_ != pattern_.size()) fail(at_, "a closing bracket without an opening one");
    if (!whole && !to_end) parts.push_back(anything());
    return sequence(std::move(parts));
  }

private:
  [[noreturn]] void fail(std::size_t at, std::string_view what) const {
    throw Error(
        Errc::usage,
        fmt::format("the pattern has {} at character {}, which is not supported", what, at));
  }
  bool more() const { return at_ < pattern_.size(); }
  bool take(char wanted) {
    if (!more() || pattern_[at_] != wanted) return false;
    ++at_;
    return true;
  }
  Expression anything() const {
    CharacterSet set;
    set.ascii.set();
    set.others = beyond_ascii();
    return repeat(writer_(set), 0, 0);
  }

  Expression alternatives(int depth) {
    std::vector<Expression> parts{terms(depth)};
    while (take('|')) {
      if (depth == 0) top_alternatives_ = true;
      parts.push_back(terms(depth));
    }
    return any_of(std::move(parts));
  }

  Expression terms(int depth) {
    std::vector<Expression> parts;
    while (more() && pattern_[at_] != '|' && pattern_[at_] != ')')
      parts.push_back(repeated(atom(depth)));
    return sequence(std::move(parts));
  }

  Expression repeated(Expression part) {
    while (more()) {
      if (take('*')) {
        part = repeat(std::move(part), 0, 0);
      } else if (take('+')) {
        part = repeat(std::move(part), 1, 0);
      } else if (take('?')) {
        part = optional(std::move(part));
      } else if (pattern_[at_] == '{') {
        part = counted(std::move(part));
      } else {
        break;
      }
      take('?'); // lazy or not, the texts are the same
    }
    return part;
  }

  Expression counted(Expression part) {
    const std::size_t begin = at_++;
    const auto least = number();
    if (!least) fail(begin, "a brace that counts nothing");
    if (take('}')) {
      if (*least == 0) return sequence({});
      return repeat(std::move(part), *least, *least);
    }
    if (!take(',')) fail(begin, "a brace that counts nothing");
    if (take('}')) return repeat(std::move(part), *least, 0);
    const auto most = number();
    if (!most || !take('}')) fail(begin, "a brace that counts nothing");
    if (*most == 0) return sequence({});
    return repeat(std::move(part), *least, *most);
  }

  std::optional<u32> number() {
    u32 value = 0;
    const std::size_t begin = at_;
    while (more() && pattern_[at_] >= '0' && pattern_[at_] <= '9' && at_ - begin < 7)
      value = value * 10 + static_cast<u32>(pattern_[at_++] - '0');
    return at_ == begin ? std::nullopt : std::optional(value);
  }

  Expression atom(int depth) {
    if (depth > kDeepestGroup) fail(at_, "groups nested too deeply");
    const std::size_t begin = at_;
    const char c = pattern_[at_++];
    switch (c) {
    case '(': {
      if (take('?') && !take(':')) fail(begin, "a group that looks around or has a name");
      Expression inside = alternatives(depth + 1);
      if (!take(')')) fail(begin, "a group without an end");
      return inside;
    }
    case '[': {
      const CharacterSet set = character_class();
      return written(begin, set);
    }
    case '.':
      return written(begin, everything_but_newlines());
    case '\\': {
      if (!more()) fail(begin, "a backslash at its end");
      if (const auto set = named_set(pattern_[at_])) {
        ++at_;
        return written(begin, *set);
      }
      return character(escape());
    }
    case '^':
    case '$':
      fail(begin, "an anchor inside");
    case '*':
    case '+':
    case '?':
    case '{':
      fail(begin, "a repetition of nothing");
    default:
      --at_;
      return character(plain_character());
    }
  }

  /// A set that stands in the pattern from `begin` to here. Sets are many parts, one sign long to
  /// write, and therefore made once.
  Expression written(std::size_t begin, const CharacterSet& set) {
    Expression& known = sets_[std::string(pattern_.substr(begin, at_ - begin))];
    if (!known) known = writer_(set);
    return known;
  }

  Expression character(u32 c) const {
    CharacterSet set;
    add(c, c, set);
    return writer_(set);
  }

  static void add(u32 first, u32 last, CharacterSet& set) {
    for (u32 c = first; c <= last && c < 0x80; ++c) set.ascii.set(c);
    if (last >= 0x80) set.others.emplace_back(std::max(first, 0x80U), last);
  }

  /// One that stands for itself, of UTF-8 that the JSON around the pattern has checked, or the
  /// request.
  u32 plain_character() {
    const std::size_t begin = at_;
    const auto first = static_cast<u8>(pattern_[at_++]);
    if (first < 0x80) return first;
    const std::size_t more_bytes = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
    u32 value = first & (0x3FU >> more_bytes);
    for (std::size_t i = 0; i < more_bytes; ++i) {
      if (!more() || (static_cast<u8>(pattern_[at_]) & 0xC0) != 0x80) fail(begin, "no UTF-8");
      value = (value << 6) | (static_cast<u8>(pattern_[at_++]) & 0x3FU);
    }
    return value;
  }

  u32 hexadecimal(std::size_t digits) {
    u32 value = 0;
    const std::string_view text = pattern_.substr(at_, digits);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    if (text.size() != digits || error != std::errc() || end != text.data() + digits)
      fail(at_, fmt::format("no {} hexadecimal digits", digits));
    at_ += digits;
    return value;
  }

  /// Of \uHHHH, or two of them that are a pair of surrogates.
  u32 unicode() {
    const std::size_t begin = at_;
    const u32 first = hexadecimal(4);
    if (first < 0xD800 || first > 0xDFFF) return first;
    if (first < 0xDC00 && pattern_.substr(at_).starts_with("\\u")) {
      at_ += 2;
      const u32 second = hexadecimal(4);
      if (second >= 0xDC00 && second <= 0xDFFF)
        return 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
    }
    fail(begin, "half of a surrogate pair");
  }

  /// The character behind a backslash.
  u32 escape() {
    const char c = pattern_[at_++];
    switch (c) {
    case 'n':
      return '\n';
    case 't':
      return '\t';
    case 'r':
      return '\r';
    case 'f':
      return '\f';
    case 'v':
      return '\v';
    case 'x':
      return hexadecimal(2);
    case 'u':
      return unicode();
    default:
      if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
          static_cast<u8>(c) >= 0x80)
        fail(at_ - 2, static_cast<u8>(c) < 0x80
                          ? fmt::format("\\{}", c)
                          : std::string("a backslash before a character beyond ASCII"));
      return static_cast<u8>(c);
    }
  }

  CharacterSet character_class() {
    const std::size_t begin = at_ - 1;
    CharacterSet set;
    const bool negated = take('^');
    for (bool first = true;; first = false) {
      if (!more()) fail(begin, "a class without an end");
      if (!first && take(']')) break;
      if (first && pattern_[at_] == ']') fail(begin, "an empty class");
      if (pattern_[at_] == '\\' && at_ + 1 < pattern_.size())
        if (const auto named = named_set(pattern_[at_ + 1])) {
          at_ += 2;
          set.ascii |= named->ascii;
          set.others.insert(set.others.end(), named->others.begin(), named->others.end());
          continue;
        }
      const u32 low = class_character(begin);
      u32 high = low;
      if (at_ + 1 < pattern_.size() && pattern_[at_] == '-' && pattern_[at_ + 1] != ']') {
        ++at_;
        high = class_character(begin);
      }
      if (high < low) fail(begin, "a range that ends before it begins");
      add(low, high, set);
    }
    return negated ? opposite(set) : set;
  }

  u32 class_character(std::size_t begin) {
    if (pattern_[at_] != '\\') return plain_character();
    ++at_;
    if (!more()) fail(begin, "a class without an end");
    if (take('b')) return '\b';
    return escape();
  }

  std::string_view pattern_;
  const CharacterWriter& writer_;
  std::size_t at_ = 0;
  bool top_alternatives_ = false;
  std::map<std::string, Expression> sets_; ///< by how they are written
};

} // namespace

Expression plain_characters(const CharacterSet& set) {
  ByteSet bytes;
  for (std::size_t c = 0; c < 128; ++c) bytes[c] = set.ascii[c];
  if (set.others.empty()) return one_of(bytes);
  return any_of({one_of(bytes), characters(set.others, false)});
}

Expression parse_regex(std::string_view pattern, bool whole, const CharacterWriter& writer) {
  if (pattern.size() > kLongestPattern)
    throw Error(Errc::usage, fmt::format("the pattern is longer than {} bytes", kLongestPattern));
  return RegexParser(pattern, writer).parse(whole);
}

} // namespace talaria::model::grammar
