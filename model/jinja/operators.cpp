#include "model/jinja/operators.hpp"

#include <algorithm>
#include <cmath>

#include "model/jinja/arguments.hpp"
#include "model/jinja/text_format.hpp"

namespace talaria::model::jinja {

namespace {

[[noreturn]] void refuse(std::string_view sign, const Value& left, const Value& right,
                         const Site& site) {
  site.fail("{} between {} and {} is not supported", sign, type_name(left), type_name(right));
}

using Overflowing = bool (*)(i64, i64, i64*);

Value checked(Overflowing operation, i64 left, i64 right, const Site& site) {
  i64 out = 0;
  if (operation(left, right, &out)) site.fail("an integer grows beyond 64 bits");
  return out;
}

bool add(i64 left, i64 right, i64* out) {
  return __builtin_add_overflow(left, right, out);
}
bool subtract(i64 left, i64 right, i64* out) {
  return __builtin_sub_overflow(left, right, out);
}
bool multiply(i64 left, i64 right, i64* out) {
  return __builtin_mul_overflow(left, right, out);
}

Value integers(std::string_view sign, i64 left, i64 right, const Site& site) {
  if (sign == "+") return checked(add, left, right, site);
  if (sign == "-") return checked(subtract, left, right, site);
  if (sign == "*") return checked(multiply, left, right, site);
  if (right == 0) site.fail("a division by zero");
  if (right == -1) { // alone in being able to overflow
    if (sign == "%") return i64{0};
    return checked(subtract, 0, left, site);
  }
  // Python rounds down, C++ towards zero.
  const bool inexact = left % right != 0 && (left < 0) != (right < 0);
  if (sign == "//") return left / right - (inexact ? 1 : 0);
  return left % right + (inexact ? right : 0);
}

/// Python's float operations; // rounds down and % has the sign of the divisor.
Value floats(std::string_view sign, double left, double right, const Site& site) {
  if (sign == "+") return Value(left + right);
  if (sign == "-") return Value(left - right);
  if (sign == "*") return Value(left * right);
  if (sign == "**") return Value(std::pow(left, right));
  if (right == 0) site.fail("a division by zero");
  if (sign == "/") return Value(left / right);
  double rest = std::fmod(left, right);
  double quotient = std::floor((left - rest) / right + 0.5);
  if (rest != 0 && (right < 0) != (rest < 0)) {
    rest += right;
    quotient -= 1;
  }
  return Value(sign == "//" ? quotient : rest == 0 ? std::copysign(0.0, right) : rest);
}

Value power(i64 base, i64 exponent, const Site& site) {
  if (exponent < 0) {
    if (base == 0) site.fail("a division by zero");
    return Value(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  i64 out = 1;
  for (; exponent > 0; exponent >>= 1) {
    site.charge(1);
    if ((exponent & 1) != 0 && __builtin_mul_overflow(out, base, &out))
      site.fail("an integer grows beyond 64 bits");
    if (exponent > 1 && __builtin_mul_overflow(base, base, &base))
      site.fail("an integer grows beyond 64 bits");
  }
  return out;
}

Value numbers(std::string_view sign, const Value& left, const Value& right, const Site& site) {
  const i64* whole = left.integer();
  const i64* other = right.integer();
  if (whole == nullptr || other == nullptr)
    return floats(sign, *number(left), *number(right), site);
  if (sign == "/") return floats(sign, *number(left), *number(right), site);
  return sign == "**" ? power(*whole, *other, site) : integers(sign, *whole, *other, site);
}

bool needs_escape(const std::string& text) {
  return text.find_first_of("&<>'\"") != std::string::npos;
}

Value concatenate(const MarkedText& left, const MarkedText& right, const Site& site) {
  site.charge_text(left.size() + right.size());
  MarkedText out = left;
  out.append(right);
  return out;
}

/// Markup escapes what it is added to.
Value add_texts(const Value& left, const Value& right, const Site& site) {
  const bool markup = left.is_markup() || right.is_markup();
  const bool mixed = left.is_markup() != right.is_markup();
  if (mixed && needs_escape(left.is_markup() ? *right.text() : *left.text()))
    site.fail("+ between a string and what safe or escape has made is not supported; use ~");
  const Value out = concatenate(*left.marked(), *right.marked(), site);
  return markup ? out.as_markup() : out;
}

Value join_lists(const List& left, const List& right, const Site& site) {
  std::vector<Value> items = left.items;
  items.insert(items.end(), right.items.begin(), right.items.end());
  return Value::list(std::move(items), left.kind, site);
}

bool can_join(const List& left, const List& right) {
  return left.kind == right.kind && (left.kind == Sequence::list || left.kind == Sequence::tuple);
}

Value repeat(const MarkedText& text, i64 count, const Site& site) {
  MarkedText out;
  if (count <= 0 || text.empty()) return out;
  if (static_cast<u64>(count) > max_output) site.charge_text(max_output + 1);
  site.charge_text(text.size() * static_cast<std::size_t>(count));
  for (i64 i = 0; i < count; ++i) out.append(text);
  return out;
}

Value repeat(const List& list, i64 count, const Site& site) {
  std::vector<Value> out;
  if (list.kind != Sequence::list && list.kind != Sequence::tuple)
    site.fail("* of an iterator or a range");
  for (i64 i = 0; i < count && !list.items.empty(); ++i) {
    site.charge(1 + list.items.size());
    out.insert(out.end(), list.items.begin(), list.items.end());
  }
  return Value::list(std::move(out), list.kind, site);
}

/// A text or list times a number, in either order; nothing if it is neither.
std::optional<Value> repetition(const Value& left, const Value& right, const Site& site) {
  const bool swapped = left.integer() != nullptr;
  const Value& what = swapped ? right : left;
  const i64* count = swapped ? left.integer() : right.integer();
  if (count == nullptr) return std::nullopt;
  if (what.marked() != nullptr && !what.is_markup()) return repeat(*what.marked(), *count, site);
  if (what.list() != nullptr) return repeat(*what.list(), *count, site);
  return std::nullopt;
}

} // namespace

Value arithmetic(std::string_view sign, const Value& left, const Value& right, const Site& site) {
  if (sign == "~") return concatenate(to_text(left, site), to_text(right, site), site);
  if (number(left) && number(right)) return numbers(sign, left, right, site);
  if (sign == "+" && left.text() != nullptr && right.text() != nullptr)
    return add_texts(left, right, site);
  if (sign == "*") {
    if (auto repeated = repetition(left, right, site)) return std::move(*repeated);
  }
  if (sign == "%" && left.text() != nullptr && !left.is_markup())
    return printf_format(*left.marked(), right, site);
  if (sign == "+" && left.list() != nullptr && right.list() != nullptr &&
      can_join(*left.list(), *right.list()))
    return join_lists(*left.list(), *right.list(), site);
  refuse(sign, left, right, site);
}

namespace {

int order_of_lists(std::string_view sign, const List& left, const List& right, const Site& site) {
  for (std::size_t i = 0; i < left.items.size() && i < right.items.size(); ++i) {
    if (!equal(left.items[i], right.items[i], site))
      return order(sign, left.items[i], right.items[i], site);
  }
  return left.items.size() < right.items.size() ? -1 : left.items.size() > right.items.size();
}

} // namespace

int order(std::string_view sign, const Value& left, const Value& right, const Site& site) {
  if (left.integer() != nullptr && right.integer() != nullptr)
    return *left.integer() < *right.integer() ? -1 : *left.integer() > *right.integer();
  if (const auto a = number(left), b = number(right); a && b) {
    if (std::isnan(*a) || std::isnan(*b)) site.fail("{} with nan is not supported", sign);
    return *a < *b ? -1 : *a > *b;
  }
  if (left.list() != nullptr && right.list() != nullptr && can_join(*left.list(), *right.list()))
    return order_of_lists(sign, *left.list(), *right.list(), site);
  if (left.text() == nullptr || right.text() == nullptr) refuse(sign, left, right, site);
  site.charge(left.text()->size() / 64);
  const int result = left.text()->compare(*right.text()); // UTF-8 sorts as code points do
  return result < 0 ? -1 : result > 0;
}

namespace {

bool contains(const Value& whole, const Value& part, const Site& site) {
  if (const std::string* text = whole.text()) {
    if (part.text() == nullptr) refuse("in", part, whole, site);
    site.charge(text->size() / 16);
    return text->find(*part.text()) != std::string::npos;
  }
  if (const List* list = whole.list()) {
    return std::any_of(list->items.begin(), list->items.end(),
                       [&](const Value& item) { return equal(item, part, site); });
  }
  if (const Dict* dict = whole.dict()) {
    site.charge(dict->items.size());
    if (part.list() != nullptr || part.dict() != nullptr) refuse("in", part, whole, site);
    return dict->find(part) != nullptr;
  }
  if (whole.is_undefined()) return false;
  refuse("in", part, whole, site);
}

} // namespace

bool compare(std::string_view sign, const Value& left, const Value& right, const Site& site) {
  if (sign == "==") return equal(left, right, site);
  if (sign == "!=") return !equal(left, right, site);
  if (sign == "in") return contains(right, left, site);
  if (sign == "not in") return !contains(right, left, site);
  const int result = order(sign, left, right, site);
  if (sign == "<") return result < 0;
  if (sign == "<=") return result <= 0;
  if (sign == ">") return result > 0;
  return result >= 0;
}

Value negate(std::string_view sign, const Value& operand, const Site& site) {
  if (sign == "not") return Value(!truthy(operand));
  if (const double* real = operand.real()) return Value(sign == "+" ? *real : -*real);
  const i64 value = expect_integer(operand, site);
  return sign == "+" ? Value(value) : integers("-", 0, value, site);
}

} // namespace talaria::model::jinja
