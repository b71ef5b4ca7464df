#include "model/grammar/gbnf.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "core/error.hpp"
#include "model/grammar/characters.hpp"

namespace talaria::model::grammar {

namespace {

constexpr int kDeepestParentheses = 64;

bool is_name_sign(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-';
}

class GrammarParser {
public:
  explicit GrammarParser(std::string_view text) : text_(text) {}

  Rules parse() {
    skip_blanks();
    if (at_end()) fail("the grammar holds no rule");
    while (!at_end()) {
      const std::string name = rule_name();
      if (!take("::=")) fail(fmt::format("'::=' is missing behind '{}'", name));
      if (!bodies_.emplace(number_of(name), alternatives(0)).second)
        fail(fmt::format("there are two rules of the name '{}'", name));
    }
    return finished();
  }

private:
  [[noreturn]] void fail(const std::string& what) const {
    const auto line = 1 + std::count(text_.begin(), text_.begin() + static_cast<long>(at_), '\n');
    throw Error(Errc::usage, fmt::format("line {} of the grammar: {}", line, what));
  }

  bool at_end() const { return at_ >= text_.size(); }
  /// With all of its bytes, so that a message can quote it.
  std::string_view character_from(std::size_t begin) const {
    std::size_t end = begin + 1;
    while (end < text_.size() && (static_cast<u8>(text_[end]) & 0xC0) == 0x80) ++end;
    return begin < text_.size() ? text_.substr(begin, end - begin) : std::string_view();
  }
  char here() const { return at_end() ? '\0' : text_[at_]; }

  void skip_blanks() {
    while (!at_end()) {
      if (here() == '#')
        at_ = std::min(text_.find('\n', at_), text_.size());
      else if (std::string_view(" \t\r\n").find(here()) != std::string_view::npos)
        ++at_;
      else
        break;
    }
  }

  bool take(std::string_view sign) {
    if (!text_.substr(at_).starts_with(sign)) return false;
    at_ += sign.size();
    skip_blanks();
    return true;
  }

  std::string rule_name() {
    const std::size_t begin = at_;
    while (is_name_sign(here())) ++at_;
    if (at_ == begin)
      fail(fmt::format("a name of a rule is expected, not '{}'", character_from(at_)));
    std::string name(text_.substr(begin, at_ - begin));
    skip_blanks();
    return name;
  }

  /// True where the next rule begins.
  bool next_rule_begins() {
    std::size_t at = at_;
    while (at < text_.size() && is_name_sign(text_[at])) ++at;
    if (at == at_) return false;
    at = std::min(text_.find_first_not_of(" \t", at), text_.size());
    return text_.substr(at).starts_with("::=");
  }

  std::size_t number_of(const std::string& name) {
    return names_.emplace(name, names_.size()).first->second;
  }

  Expression alternatives(int depth) {
    if (depth > kDeepestParentheses) fail("parentheses are nested too deep");
    std::vector<Expression> all{row(depth)};
    while (take("|")) all.push_back(row(depth));
    return any_of(std::move(all));
  }

  Expression row(int depth) {
    std::vector<Expression> parts;
    while (!at_end() && here() != '|' && here() != ')' && !next_rule_begins())
      parts.push_back(counted(item(depth)));
    return sequence(std::move(parts));
  }

  Expression item(int depth) {
    if (take("(")) {
      Expression inside = alternatives(depth + 1);
      if (!take(")")) fail("')' is missing");
      return inside;
    }
    if (here() == '"') return text();
    if (here() == '[') return character_class();
    if (take(".")) return written(".", {}, true);
    return rule(number_of(rule_name()) + 1); // rule 0 is none of the grammar's own
  }

  /// With what says how often it stands.
  Expression counted(Expression one) {
    for (;;) {
      if (take("*"))
        one = repeat(one, 0, 0);
      else if (take("+"))
        one = repeat(one, 1, 0);
      else if (take("?"))
        one = optional(one);
      else if (take("{"))
        one = bounded(one);
      else
        return one;
    }
  }

  /// m}, m,} or m,n}
  Expression bounded(const Expression& one) {
    const u32 least = count();
    const bool is_range = take(",");
    const bool is_open = is_range && here() == '}';
    const u32 most = is_range && !is_open ? count() : least;
    if (!take("}")) fail("'}' is missing behind a count");
    if (most == 0 && !is_open) return sequence({}); // {0}
    if (most < least) fail("a count ends before it begins");
    return repeat(one, least, is_open ? 0 : most);
  }

  u32 count() {
    u32 value = 0;
    const std::size_t begin = at_;
    for (; here() >= '0' && here() <= '9' && value <= kMaxCopies; ++at_)
      value = 10 * value + static_cast<u32>(here() - '0');
    if (at_ == begin || value > kMaxCopies)
      fail(fmt::format("a count from 0 to {} is expected", kMaxCopies));
    skip_blanks();
    return value;
  }

  Expression text() {
    ++at_;
    std::vector<Expression> parts;
    while (here() != '"') {
      if (at_end() || here() == '\n') fail("a text has no '\"' at its end");
      const u32 c = character();
      parts.push_back(characters({{c, c}}, false));
    }
    ++at_;
    skip_blanks();
    return sequence(std::move(parts));
  }

  Expression character_class() {
    const std::size_t begin = at_++;
    const bool others = here() == '^';
    if (others) ++at_;
    CodePoints set;
    while (here() != ']') {
      if (at_end() || here() == '\n') fail("a class has no ']' at its end");
      const u32 first = character();
      u32 last = first;
      if (here() == '-' && text_.substr(at_ + 1, 1) != "]") {
        ++at_;
        last = character();
      }
      if (last < first) fail("a range of characters ends before it begins");
      set.emplace_back(first, last);
    }
    ++at_;
    const std::string_view source = text_.substr(begin, at_ - begin);
    skip_blanks();
    if (set.empty() && !others) fail("a class without characters");
    return written(source, std::move(set), others);
  }

  /// A class is many parts, one sign long to write, and therefore made once.
  Expression written(std::string_view source, CodePoints set, bool others) {
    Expression& known = classes_[std::string(source)];
    if (!known) known = characters(std::move(set), others);
    return known;
  }

  u32 character() {
    if (at_end()) fail("the grammar ends inside a text");
    const auto first = static_cast<u8>(text_[at_++]);
    if (first == '\\') return escaped();
    if (first < 0x80) return first;
    const std::size_t more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
    u32 value = first & (0x3FU >> more);
    for (std::size_t i = 0; i < more; ++i) {
      if ((static_cast<u8>(here()) & 0xC0) != 0x80) fail("this is not UTF-8");
      value = (value << 6) | (static_cast<u8>(text_[at_++]) & 0x3FU);
    }
    return value;
  }

  u32 escaped() {
    if (at_end()) fail("the grammar ends inside a text");
    const char sign = here();
    ++at_;
    switch (sign) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'x':
      return hexadecimal(2);
    case 'u':
      return hexadecimal(4);
    case 'U':
      return hexadecimal(8);
    default:
      if (sign == '\0' || std::string_view("\\\"[]-^/").find(sign) == std::string_view::npos)
        fail(fmt::format("'\\{}' is not known", character_from(at_ - 1)));
      return static_cast<u8>(sign);
    }
  }

  u32 hexadecimal(std::size_t digits) {
    u64 value = 0;
    for (std::size_t i = 0; i < digits; ++i) {
      const char c = here();
      const auto digit = std::string_view("0123456789abcdef")
                             .find(static_cast<char>(c >= 'A' && c <= 'F' ? c + ('a' - 'A') : c));
      if (at_end() || digit == std::string_view::npos)
        fail(fmt::format("{} hexadecimal digits are expected", digits));
      value = 16 * value + digit;
      ++at_;
    }
    if (value > kLastCharacter || (value >= 0xD800 && value <= 0xDFFF))
      fail("this is the number of no character");
    return static_cast<u32>(value);
  }

  /// Rule 0 is the one that texts have to be.
  Rules finished() {
    const auto root = names_.find("root");
    const auto start = root != names_.end() ? root : names_.find("start");
    Rules rules;
    rules.bodies.push_back(nullptr);
    if (start == names_.end()) fail("there is no rule 'root'");
    for (const auto& [name, number] : names_)
      if (!bodies_.count(number)) fail(fmt::format("there is no rule '{}'", name));
    rules.bodies[0] = rule(start->second + 1);
    for (auto& [number, body] : bodies_) rules.bodies.push_back(std::move(body));
    return rules;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::map<std::string, std::size_t> names_;
  std::map<std::size_t, Expression> bodies_;
  std::map<std::string, Expression> classes_; ///< by how they are written
};

} // namespace

Rules gbnf_rules(std::string_view grammar) {
  if (grammar.size() > kLongestGrammar)
    throw Error(Errc::usage, fmt::format("the grammar is longer than {} bytes", kLongestGrammar));
  return GrammarParser(grammar).parse();
}

} // namespace talaria::model::grammar
