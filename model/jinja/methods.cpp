#include <algorithm>
#include <functional>
#include <map>

#include "model/jinja/builtins.hpp"
#include "model/jinja/python_text.hpp"
#include "model/unicode.hpp"
#include "model/utf8.hpp"

namespace talaria::model::jinja {

namespace {

using TextMethod = std::function<Value(const std::string&, const ArgumentValues&, const Site&)>;
using DictMethod = std::function<Value(const Dict&, const ArgumentValues&, const Site&)>;

TextMethod strip(bool left, bool right) {
  return [=](const std::string& text, const ArgumentValues& arguments, const Site& site) -> Value {
    arguments.check(1, {}, site);
    if (arguments.positional.empty() || arguments.positional[0].is_none())
      return std::string(python::strip(text, nullptr, left, right));
    const std::string& characters = expect_text(arguments.positional[0], site);
    site.charge(characters.size() * text.size() / 64);
    return std::string(python::strip(text, &characters, left, right));
  };
}

Value split(const std::string& text, const ArgumentValues& arguments, const Site& site) {
  arguments.check(2, {"sep", "maxsplit"}, site);
  const Value* separator = arguments.find(0, "sep");
  const i64 limit = arguments.integer_or(1, "maxsplit", -1, site);
  const bool spaces = separator == nullptr || separator->is_none();
  const std::string* text_separator = spaces ? nullptr : &expect_text(*separator, site);
  if (text_separator != nullptr && text_separator->empty()) site.fail("split at an empty string");
  site.charge(text.size());
  std::vector<Value> out;
  for (std::string& part : python::split(text, text_separator, limit))
    out.emplace_back(std::move(part));
  return Value::list(std::move(out), Sequence::list, site);
}

/// startswith and endswith: a string, or a tuple of which one is enough.
TextMethod affix(bool (*test)(std::string_view, std::string_view)) {
  return [=](const std::string& text, const ArgumentValues& arguments, const Site& site) -> Value {
    arguments.check(1, {}, site);
    const Value& wanted = arguments.required(0, "prefix", site);
    if (wanted.list() == nullptr) return Value(test(text, expect_text(wanted, site)));
    if (wanted.list()->kind != Sequence::tuple) site.fail("a string or tuple is needed");
    const auto& items = wanted.list()->items;
    return Value(std::any_of(items.begin(), items.end(), [&](const Value& item) {
      return test(text, expect_text(item, site));
    }));
  };
}

bool starts_with(std::string_view text, std::string_view part) {
  return text.starts_with(part);
}
bool ends_with(std::string_view text, std::string_view part) {
  return text.ends_with(part);
}

/// A method without arguments that makes a text of a similar size.
template <class Change>
TextMethod change(Change function) {
  return [=](const std::string& text, const ArgumentValues& arguments, const Site& site) -> Value {
    arguments.check(0, {}, site);
    site.charge_text(2 * text.size());
    return function(text, site);
  };
}

Value ascii_only(std::optional<std::string> changed, const Site& site) {
  if (!changed) site.fail("capitals of text beyond ASCII are not supported");
  return std::move(*changed);
}

std::size_t occurrences(std::string_view text, std::string_view part, const Site& site) {
  if (part.empty()) site.fail("an empty string is looked for");
  site.charge(text.size() / 16);
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string_view::npos; at += part.size())
    ++count;
  return count;
}

Value replace(const std::string& text, const ArgumentValues& arguments, const Site& site) {
  arguments.check(3, {"old", "new", "count"}, site);
  const std::string& from = expect_text(arguments.required(0, "old", site), site);
  const std::string& to = expect_text(arguments.required(1, "new", site), site);
  site.charge_text(text.size() + occurrences(text, from, site) * to.size());
  return python::replace(text, from, to, arguments.integer_or(2, "count", -1, site));
}

Value find(const std::string& text, const ArgumentValues& arguments, const Site& site) {
  arguments.check(1, {}, site);
  site.charge(text.size() / 16);
  const std::size_t at = text.find(expect_text(arguments.required(0, "sub", site), site));
  if (at == std::string::npos) return i64{-1};
  return static_cast<i64>(utf8::length(std::string_view(text).substr(0, at)));
}

Value count(const std::string& text, const ArgumentValues& arguments, const Site& site) {
  arguments.check(1, {}, site);
  const std::string& part = expect_text(arguments.required(0, "sub", site), site);
  return static_cast<i64>(occurrences(text, part, site));
}

Value join(const std::string& text, const ArgumentValues& arguments, const Site& site) {
  arguments.check(1, {}, site);
  std::string out;
  bool first = true;
  for (const Value& item : iterate(arguments.required(0, "iterable", site), site)) {
    if (!std::exchange(first, false)) out += text;
    out += expect_text(item, site);
    site.charge_text(out.size() / 64 + text.size());
  }
  site.charge_text(out.size());
  return out;
}

TextMethod remove_affix(bool prefix) {
  return [=](const std::string& text, const ArgumentValues& arguments, const Site& site) -> Value {
    arguments.check(1, {}, site);
    const std::string& part = expect_text(arguments.required(0, "affix", site), site);
    if (prefix ? !text.starts_with(part) : !text.ends_with(part)) return text;
    return prefix ? text.substr(part.size()) : text.substr(0, text.size() - part.size());
  };
}

const std::map<std::string, TextMethod>& text_methods() {
  static const std::map<std::string, TextMethod> methods = {
      {"strip", strip(true, true)},
      {"lstrip", strip(true, false)},
      {"rstrip", strip(false, true)},
      {"split", split},
      {"startswith", affix(starts_with)},
      {"endswith", affix(ends_with)},
      {"upper", change([](const std::string& t, const Site&) { return unicode::upper(t); })},
      {"lower", change([](const std::string& t, const Site&) { return unicode::lower(t); })},
      {"title", change([](const std::string& t, const Site& site) {
         return ascii_only(python::title_method(t), site);
       })},
      {"capitalize", change([](const std::string& t, const Site& site) {
         return ascii_only(python::capitalize(t), site);
       })},
      {"replace", replace},
      {"find", find},
      {"count", count},
      {"join", join},
      {"removeprefix", remove_affix(true)},
      {"removesuffix", remove_affix(false)}};
  return methods;
}

/// What a view of a mapping shows.
DictMethod view(bool keys, bool values) {
  return [=](const Dict& dict, const ArgumentValues& arguments, const Site& site) -> Value {
    arguments.check(0, {}, site);
    std::vector<Value> out;
    for (const auto& [key, value] : dict.items) {
      if (keys && values)
        out.push_back(Value::list({key, value}, Sequence::tuple, site));
      else
        out.push_back(keys ? key : value);
    }
    return Value::list(std::move(out), Sequence::view, site);
  };
}

Value get(const Dict& dict, const ArgumentValues& arguments, const Site& site) {
  arguments.check(2, {}, site);
  site.charge(dict.items.size());
  const Value* found = dict.find(arguments.required(0, "key", site));
  if (found != nullptr) return *found;
  return arguments.positional.size() > 1 ? arguments.positional[1] : Value(None{});
}

const std::map<std::string, DictMethod>& dict_methods() {
  static const std::map<std::string, DictMethod> methods = {{"items", view(true, true)},
                                                            {"keys", view(true, false)},
                                                            {"values", view(false, true)},
                                                            {"get", get}};
  return methods;
}

} // namespace

bool has_method(const Value& value, const std::string& name) {
  return (value.text() != nullptr && text_methods().contains(name)) ||
         (value.dict() != nullptr && dict_methods().contains(name));
}

Value call_method(const Value& value, const std::string& name, const ArgumentValues& arguments,
                  const Site& site) {
  if (value.text() != nullptr) {
    site.charge_text(value.text()->size());
    return text_methods().at(name)(*value.text(), arguments, site);
  }
  return dict_methods().at(name)(*value.dict(), arguments, site);
}

} // namespace talaria::model::jinja
