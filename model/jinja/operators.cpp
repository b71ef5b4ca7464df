#include "model/jinja/operators.hpp"

#include <algorithm>

#include "model/jinja/arguments.hpp"

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

Value concatenate(const std::string& left, const std::string& right, const Site& site) {
  site.charge_text(left.size() + right.size());
  return left + right;
}

Value join_lists(const List& left, const List& right, const Site& site) {
  std::vector<Value> items = left.items;
  items.insert(items.end(), right.items.begin(), right.items.end());
  return Value::list(std::move(items), left.kind, site);
}

bool can_join(const List& left, const List& right) {
  return left.kind == right.kind && (left.kind == Sequence::list || left.kind == Sequence::tuple);
}

Value repeat(const std::string& text, i64 count, const Site& site) {
  std::string out;
  if (count <= 0 || text.empty()) return out;
  if (static_cast<u64>(count) > max_output) site.charge_text(max_output + 1);
  site.charge_text(text.size() * static_cast<std::size_t>(count));
  for (i64 i = 0; i < count; ++i) out += text;
  return out;
}

} // namespace

Value arithmetic(std::string_view sign, const Value& left, const Value& right, const Site& site) {
  if (sign == "~") return concatenate(to_text(left, site), to_text(right, site), site);
  if (left.integer() != nullptr && right.integer() != nullptr)
    return integers(sign, *left.integer(), *right.integer(), site);
  if (sign == "+" && left.text() != nullptr && right.text() != nullptr)
    return concatenate(*left.text(), *right.text(), site);
  if (sign == "*" && left.text() != nullptr && right.integer() != nullptr)
    return repeat(*left.text(), *right.integer(), site);
  if (sign == "+" && left.list() != nullptr && right.list() != nullptr &&
      can_join(*left.list(), *right.list()))
    return join_lists(*left.list(), *right.list(), site);
  refuse(sign, left, right, site);
}

namespace {

/// -1, 0 or 1.
int order(std::string_view sign, const Value& left, const Value& right, const Site& site) {
  if (left.integer() != nullptr && right.integer() != nullptr)
    return *left.integer() < *right.integer() ? -1 : *left.integer() > *right.integer();
  if (left.text() == nullptr || right.text() == nullptr) refuse(sign, left, right, site);
  site.charge(left.text()->size() / 64);
  const int result = left.text()->compare(*right.text()); // UTF-8 sorts as code points do
  return result < 0 ? -1 : result > 0;
}

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
  const i64 value = expect_integer(operand, site);
  return sign == "+" ? Value(value) : integers("-", 0, value, site);
}

} // namespace talaria::model::jinja
