#include <functional>
#include <map>

#include "model/jinja/builtins.hpp"
#include "model/jinja/operators.hpp"
#include "model/unicode.hpp"

namespace talaria::model::jinja {

namespace {

using Test = std::function<bool(const Value&, const ArgumentValues&, const Site&)>;

template <class Predicate>
Test plain(Predicate predicate) {
  return [=](const Value& value, const ArgumentValues& arguments, const Site& site) {
    arguments.check(0, {}, site);
    return predicate(value);
  };
}

Test comparison(std::string_view sign) {
  return [=](const Value& value, const ArgumentValues& arguments, const Site& site) {
    arguments.check(1, {}, site);
    return compare(sign, value, arguments.required(0, "other", site), site);
  };
}

/// Whether value % divisor == remainder.
bool leaves(const Value& value, i64 divisor, i64 remainder, const Site& site) {
  if (!number(value)) expect_integer(value, site);
  return equal(arithmetic("%", value, divisor, site), remainder, site);
}

Test parity(i64 remainder) {
  return [=](const Value& value, const ArgumentValues& arguments, const Site& site) {
    arguments.check(0, {}, site);
    return leaves(value, 2, remainder, site);
  };
}

bool divisible(const Value& value, const ArgumentValues& arguments, const Site& site) {
  arguments.check(1, {}, site);
  return leaves(value, expect_integer(arguments.required(0, "num", site), site), 0, site);
}

bool is_bool(const Value& value, bool wanted) {
  return value.boolean() != nullptr && *value.boolean() == wanted;
}

bool is_iterable(const Value& value) {
  return value.is_undefined() || value.text() != nullptr || value.list() != nullptr ||
         value.dict() != nullptr;
}

bool is_sequence(const Value& value) {
  if (const List* list = value.list())
    return list->kind != Sequence::view && list->kind != Sequence::iterator;
  return value.is_undefined() || value.text() != nullptr || value.dict() != nullptr;
}

bool is_callable(const Value& value) {
  return value.macro() != nullptr || value.closure() != nullptr || value.function() != nullptr;
}

/// lower and upper, of what str() makes of a value.
Test cased(bool upper) {
  return [=](const Value& value, const ArgumentValues& arguments, const Site& site) {
    arguments.check(0, {}, site);
    return unicode::is_cased(to_text(value, site).text(), upper);
  };
}

/// Python's `is`, for what there is only one of; whether two equal strings are one object, only
/// Python knows.
bool same_as(const Value& value, const ArgumentValues& arguments, const Site& site) {
  arguments.check(1, {"other"}, site);
  const Value& other = arguments.required(0, "other", site);
  const auto single = [](const Value& v) { return v.is_none() || v.boolean() != nullptr; };
  if (single(value) || single(other))
    return single(value) && single(other) && value.is_none() == other.is_none() &&
           equal(value, other, site);
  site.fail("sameas between {} and {} is not supported", type_name(value), type_name(other));
}

const std::map<std::string, Test>& tests() {
  static const std::map<std::string, Test> all = {
      {"defined", plain([](const Value& v) { return !v.is_undefined(); })},
      {"undefined", plain([](const Value& v) { return v.is_undefined(); })},
      {"none", plain([](const Value& v) { return v.is_none(); })},
      {"boolean", plain([](const Value& v) { return v.boolean() != nullptr; })},
      {"true", plain([](const Value& v) { return is_bool(v, true); })},
      {"false", plain([](const Value& v) { return is_bool(v, false); })},
      {"number", plain([](const Value& v) { return number(v).has_value(); })},
      {"integer",
       plain([](const Value& v) { return v.integer() != nullptr && v.boolean() == nullptr; })},
      {"float", plain([](const Value& v) { return v.real() != nullptr; })},
      {"lower", cased(false)},
      {"upper", cased(true)},
      {"callable", plain(is_callable)},
      {"escaped", plain([](const Value& v) { return v.is_markup(); })},
      {"sameas", same_as},

      {"string", plain([](const Value& v) { return v.text() != nullptr; })},
      {"mapping", plain([](const Value& v) { return v.dict() != nullptr; })},
      {"iterable", plain(is_iterable)},
      {"sequence", plain(is_sequence)},
      {"odd", parity(1)},
      {"even", parity(0)},
      {"divisibleby", divisible},
      {"in", comparison("in")}};
  return all;
}

const std::map<std::string, std::string_view>& comparisons() {
  static const std::map<std::string, std::string_view> all = {
      {"eq", "=="}, {"equalto", "=="},    {"==", "=="}, {"ne", "!="}, {"!=", "!="},
      {"lt", "<"},  {"lessthan", "<"},    {"<", "<"},   {"le", "<="}, {"<=", "<="},
      {"gt", ">"},  {"greaterthan", ">"}, {">", ">"},   {"ge", ">="}, {">=", ">="}};
  return all;
}

} // namespace

bool apply_test(const std::string& name, const Value& value, const ArgumentValues& arguments,
                const Site& site) {
  if (const auto sign = comparisons().find(name); sign != comparisons().end())
    return comparison(sign->second)(value, arguments, site);
  const auto test = tests().find(name);
  if (test == tests().end()) site.fail("the test {} is not supported", name);
  return test->second(value, arguments, site);
}

} // namespace talaria::model::jinja
