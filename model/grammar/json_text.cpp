#include "model/grammar/json_text.hpp"

#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "model/grammar/json_numbers.hpp"

namespace talaria::model::grammar {

namespace {

Expression hexadecimal() {
  ByteSet set;
  for (const char c : std::string_view("0123456789abcdefABCDEF")) set.set(static_cast<u8>(c));
  return one_of(set);
}

/// \u0041, without halves of surrogate pairs.
Expression unicode_escape() {
  ByteSet first;
  for (const char c : std::string_view("0123456789abcefABCEF")) first.set(static_cast<u8>(c));
  ByteSet d;
  d.set('d');
  d.set('D');
  const auto hex = hexadecimal();
  return sequence(
      {literal("\\u"), any_of({sequence({one_of(first), hex, hex, hex}),
                               sequence({one_of(d), byte_range('0', '7'), hex, hex})})});
}

} // namespace

Expression json_blanks() {
  static const Expression value =
      optional(any_of({literal(" "), sequence({literal("\n"), repeat(literal(" "), 0, 20)})}));
  return value;
}

Expression json_characters(const CharacterSet& set) {
  ByteSet plain;
  std::vector<Expression> forms;
  for (std::size_t c = 0; c < 128; ++c) {
    if (!set.ascii[c]) continue;
    switch (static_cast<char>(c)) {
    case '"':
    case '\\':
      forms.push_back(literal(std::string("\\") + static_cast<char>(c)));
      break;
    case '\n':
      forms.push_back(literal("\\n"));
      break;
    case '\t':
      forms.push_back(literal("\\t"));
      break;
    case '\r':
      forms.push_back(literal("\\r"));
      break;
    default:
      if (c >= 0x20)
        plain.set(c);
      else
        forms.push_back(literal(fmt::format("\\u{:04x}", c)));
    }
  }
  if (plain.any()) forms.push_back(one_of(plain));
  if (!set.others.empty()) forms.push_back(characters(set.others, false));
  return any_of(std::move(forms));
}

Expression any_json_character() {
  static const Expression value = [] {
    ByteSet plain;
    for (unsigned c = 0x20; c < 0x7F; ++c)
      if (c != '"' && c != '\\') plain.set(c);
    ByteSet escapes;
    for (const char c : std::string_view("\"\\/bfnrt")) escapes.set(static_cast<u8>(c));
    return any_of({one_of(plain), characters({{0x80, kLastCharacter}}, false),
                   sequence({literal("\\"), one_of(escapes)}), unicode_escape()});
  }();
  return value;
}

Expression plain_json_character() {
  static const Expression value = [] {
    CharacterSet all;
    all.ascii.set();
    all.others = {{0x80, kLastCharacter}};
    return json_characters(all);
  }();
  return value;
}

Expression plain_json_text(std::string_view text) {
  std::vector<Expression> parts;
  for (const char c : text) {
    CharacterSet one;
    if (static_cast<u8>(c) < 0x80) one.ascii.set(static_cast<u8>(c));
    parts.push_back(one.ascii.any() ? json_characters(one) : literal(std::string_view(&c, 1)));
  }
  return sequence(std::move(parts));
}

Expression quoted_text(Expression inside) {
  return sequence({literal("\""), std::move(inside), literal("\"")});
}

const std::map<std::string, const char*>& json_formats() {
  static const std::map<std::string, const char*> known{
      {"date", R"(\d{4}-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8]))"},
      {"time", R"(([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d))"},
      {"date-time", R"(\d{4}-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d)"
                    R"((\.\d{1,6})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d))"},
      {"uuid", R"([0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})"},
      {"email", R"([a-z0-9]{1,32}(\.[a-z0-9]{1,32})?@[a-z0-9]{1,32}(\.[a-z]{2,8}){1,2})"},
      {"ipv4", R"(((25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d))"},
      {"duration",
       R"(P(\d{1,4}W|((\d{1,4}Y)?\d{1,4}M)?\d{1,4}D|T((\d{1,4}H)?\d{1,4}M)?\d{1,4}S|\d{1,4}Y|T\d{1,4}[HM]))"},
      {"ipv6", R"(([0-9a-f]{1,4}:){7}[0-9a-f]{1,4})"},
      {"hostname", R"([a-z0-9]{1,32}(\.[a-z0-9]{1,32}){0,3})"},
      {"uri", R"(https?://[a-z0-9]{1,32}(\.[a-z0-9]{1,32}){1,3}(/[a-zA-Z0-9_~.-]{0,64}){0,6})"}};
  return known;
}

Expression comma_separated(const Expression& item, char open, char close, u32 most) {
  const std::string_view begin(&open, 1);
  const std::string_view end(&close, 1);
  const auto more = sequence({literal(","), json_blanks(), item});
  const Expression others = most == 1 ? sequence({}) : repeat(more, 0, most == 0 ? 0 : most - 1);
  return sequence({literal(begin), json_blanks(), optional(sequence({item, others, json_blanks()})),
                   literal(end)});
}

Rules rules_of_anything() {
  Rules rules;
  rules.bodies.resize(kFirstFree);
  rules.bodies[kTop] = sequence({});
  rules.bodies[kValue] = any_of({rule(kObject), rule(kList), rule(kText), rule(kNumber),
                                 literal("true"), literal("false"), literal("null")});
  const auto member = sequence({rule(kText), literal(":"), json_blanks(), rule(kValue)});
  rules.bodies[kObject] = comma_separated(member, '{', '}');
  rules.bodies[kList] = comma_separated(rule(kValue), '[', ']');
  rules.bodies[kText] = quoted_text(repeat(any_json_character(), 0, 0));
  rules.bodies[kNumber] = any_json_number();
  return rules;
}

} // namespace talaria::model::grammar
