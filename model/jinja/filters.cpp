#include <algorithm>
#include <functional>
#include <map>

#include "model/jinja/builtins.hpp"
#include "model/jinja/operators.hpp"
#include "model/jinja/python_text.hpp"
#include "model/unicode.hpp"
#include "model/utf8.hpp"

namespace talaria::model::jinja {

namespace {

using Filter = std::function<Value(const Value&, const ArgumentValues&, const Site&)>;

Value trim(const Value& value, const ArgumentValues& arguments, const Site& site) {
  arguments.check(1, {"chars"}, site);
  const std::string text = to_text(value, site);
  const Value* given = arguments.find(0, "chars");
  if (given == nullptr || given->is_none())
    return std::string(python::strip(text, nullptr, true, true));
  const std::string& characters = expect_text(*given, site);
  site.charge(characters.size() * text.size() / 64);
  return std::string(python::strip(text, &characters, true, true));
}

Value length(const Value& value, const ArgumentValues& arguments, const Site& site) {
  arguments.check(0, {}, site);
  if (value.is_undefined()) return i64{0};
  if (const std::string* text = value.text()) {
    site.charge(text->size() / 16);
    return static_cast<i64>(utf8::length(*text));
  }
  if (const Dict* dict = value.dict()) return static_cast<i64>(dict->items.size());
  if (value.list() == nullptr || value.is_transient())
    site.fail("the length of {}", type_name(value));
  return static_cast<i64>(value.list()->items.size());
}

Value json(const Value& value, const ArgumentValues& arguments, const Site& site) {
  arguments.check(2, {"indent", "ensure_ascii"}, site);
  // transformers puts ensure_ascii first.
  const Value* ascii = arguments.find(0, "ensure_ascii");
  if (ascii != nullptr && truthy(*ascii)) site.fail("tojson with ensure_ascii is not supported");
  return to_json(value, arguments.integer_or(1, "indent", -1, site), site);
}

Value fallback(const Value& value, const ArgumentValues& arguments, const Site& site) {
  arguments.check(2, {"default_value", "boolean"}, site);
  const Value* otherwise = arguments.find(0, "default_value");
  const Value* boolean = arguments.find(1, "boolean");
  const bool falsy_too = boolean != nullptr && truthy(*boolean);
  if (!value.is_undefined() && !(falsy_too && !truthy(value))) return value;
  return otherwise != nullptr ? *otherwise : Value(std::string());
}

template <class Change>
Filter change(Change function) {
  return [=](const Value& value, const ArgumentValues& arguments, const Site& site) -> Value {
    arguments.check(0, {}, site);
    const std::string text = to_text(value, site);
    site.charge_text(2 * text.size());
    return function(text, site);
  };
}

Value ascii_only(std::optional<std::string> changed, const Site& site) {
  if (!changed) site.fail("capitals of text beyond ASCII are not supported");
  return std::move(*changed);
}

Value join(const Value& value, const ArgumentValues& arguments, const Site& site) {
  arguments.check(2, {"d", "attribute"}, site);
  const Value* between = arguments.find(0, "d");
  const Value* name = arguments.find(1, "attribute");
  const std::string separator = between != nullptr ? to_text(*between, site) : "";
  std::string out;
  bool first = true;
  for (const Value& item : iterate(value, site)) {
    if (!std::exchange(first, false)) out += separator;
    const bool whole = name == nullptr || name->is_none();
    out += to_text(whole ? item : attribute(item, expect_text(*name, site), site), site);
    site.charge_text(separator.size());
    if (out.size() > max_output) site.charge_text(out.size());
  }
  site.charge_text(out.size());
  return out;
}

Filter end_of(bool first) {
  return [=](const Value& value, const ArgumentValues& arguments, const Site& site) -> Value {
    arguments.check(0, {}, site);
    if (!first && value.is_transient()) site.fail("the last of an iterator");
    const std::vector<Value> items = iterate(value, site);
    if (items.empty()) return Undefined{first ? "the first of nothing" : "the last of nothing"};
    return first ? items.front() : items.back();
  };
}

Value list(const Value& value, const ArgumentValues& arguments, const Site& site) {
  arguments.check(0, {}, site);
  return Value::list(iterate(value, site), Sequence::list, site);
}

Value string(const Value& value, const ArgumentValues& arguments, const Site& site) {
  arguments.check(0, {}, site);
  return to_text(value, site);
}

/// int(): of a string only plain decimal digits, so that nothing is read differently than in
/// Python.
Value integer(const Value& value, const ArgumentValues& arguments, const Site& site) {
  arguments.check(1, {"default"}, site);
  const Value* otherwise = arguments.find(0, "default");
  const Value missing = otherwise != nullptr ? *otherwise : Value(i64{0});
  if (value.is_undefined()) site.fail("int of undefined");
  if (value.integer() != nullptr) return *value.integer();
  if (value.text() == nullptr) return missing;
  std::string_view text = python::strip(*value.text(), nullptr, true, true);
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  if (!text.empty() && text.size() <= 18 && std::all_of(text.begin(), text.end(), digit)) {
    const i64 number = std::stoll(std::string(text));
    return negative ? -number : number;
  }
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == ' ';
  };
  const std::string lower = unicode::lower(text);
  if (!std::all_of(text.begin(), text.end(), letter) || lower == "nan" || lower == "inf" ||
      lower == "infinity")
    site.fail("int of a string that is not a plain integer");
  return missing;
}

Value replace(const Value& value, const ArgumentValues& arguments, const Site& site) {
  arguments.check(3, {"old", "new", "count"}, site);
  const Value* limit = arguments.find(2, "count");
  ArgumentValues texts;
  texts.positional = {to_text(arguments.required(0, "old", site), site),
                      to_text(arguments.required(1, "new", site), site),
                      limit != nullptr ? *limit : Value(None{})};
  return call_method(to_text(value, site), "replace", texts, site);
}

Value items(const Value& value, const ArgumentValues& arguments, const Site& site) {
  arguments.check(0, {}, site);
  std::vector<Value> out;
  if (!value.is_undefined()) {
    if (value.dict() == nullptr) site.fail("the items of {}", type_name(value));
    for (const auto& [key, item] : value.dict()->items)
      out.push_back(Value::list({key, item}, Sequence::tuple, site));
  }
  return Value::list(std::move(out), Sequence::iterator, site);
}

Value reverse(const Value& value, const ArgumentValues& arguments, const Site& site) {
  arguments.check(0, {}, site);
  if (value.text() != nullptr) return slice(value, None{}, None{}, i64{-1}, site);
  if (value.list() == nullptr || value.is_transient()) site.fail("reverse of {}", type_name(value));
  std::vector<Value> out = iterate(value, site);
  std::reverse(out.begin(), out.end());
  return Value::list(std::move(out), Sequence::iterator, site);
}

/// select, reject, selectattr and rejectattr: keep what a test says, by default being true.
Filter select(bool by_attribute, bool keep) {
  return [=](const Value& value, const ArgumentValues& arguments, const Site& site) -> Value {
    arguments.check(8, {}, site);
    const std::size_t skip = by_attribute ? 1 : 0;
    const auto& given = arguments.positional;
    const std::string name =
        by_attribute ? expect_text(arguments.required(0, "attribute", site), site) : "";
    if (name.find('.') != std::string::npos) site.fail("a dotted attribute in selectattr");
    ArgumentValues rest;
    if (given.size() > skip + 1)
      rest.positional.assign(given.begin() + static_cast<std::ptrdiff_t>(skip) + 1, given.end());
    std::vector<Value> out;
    for (const Value& item : iterate(value, site)) {
      const Value tested = by_attribute ? attribute(item, name, site) : item;
      const bool yes = given.size() > skip
                           ? apply_test(expect_text(given[skip], site), tested, rest, site)
                           : truthy(tested);
      if (yes == keep) out.push_back(item);
    }
    return Value::list(std::move(out), Sequence::iterator, site);
  };
}

Value map(const Value& value, const ArgumentValues& arguments, const Site& site) {
  std::vector<Value> out;
  const Value* name = arguments.find(1000, "attribute");
  const Value* otherwise = arguments.find(1000, "default");
  ArgumentValues rest;
  if (name == nullptr) {
    arguments.required(0, "filter", site);
    rest.positional.assign(arguments.positional.begin() + 1, arguments.positional.end());
    rest.named = arguments.named;
  } else {
    arguments.check(0, {"attribute", "default"}, site);
    if (expect_text(*name, site).find('.') != std::string::npos)
      site.fail("a dotted attribute in map");
  }
  for (const Value& item : iterate(value, site)) {
    Value mapped = name != nullptr
                       ? attribute(item, expect_text(*name, site), site)
                       : apply_filter(expect_text(arguments.positional[0], site), item, rest, site);
    out.push_back(mapped.is_undefined() && otherwise != nullptr ? *otherwise : std::move(mapped));
  }
  return Value::list(std::move(out), Sequence::iterator, site);
}

const std::map<std::string, Filter>& filters() {
  static const std::map<std::string, Filter> all = {
      {"trim", trim},
      {"length", length},
      {"count", length},
      {"tojson", json},
      {"default", fallback},
      {"d", fallback},
      {"upper", change([](const std::string& t, const Site&) { return unicode::upper(t); })},
      {"lower", change([](const std::string& t, const Site&) { return unicode::lower(t); })},
      {"title", change([](const std::string& t, const Site& site) {
         return ascii_only(python::title_filter(t), site);
       })},
      {"capitalize", change([](const std::string& t, const Site& site) {
         return ascii_only(python::capitalize(t), site);
       })},
      {"join", join},
      {"first", end_of(true)},
      {"last", end_of(false)},
      {"list", list},
      {"string", string},
      {"int", integer},
      {"replace", replace},
      {"items", items},
      {"reverse", reverse},
      {"map", map},
      {"select", select(false, true)},
      {"reject", select(false, false)},
      {"selectattr", select(true, true)},
      {"rejectattr", select(true, false)}};
  return all;
}

} // namespace

Value apply_filter(const std::string& name, const Value& value, const ArgumentValues& arguments,
                   const Site& site) {
  site.charge(1);
  const auto filter = filters().find(name);
  if (filter == filters().end()) site.fail("the filter {} is not supported", name);
  return filter->second(value, arguments, site);
}

} // namespace talaria::model::jinja
