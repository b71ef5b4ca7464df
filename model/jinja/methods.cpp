#include <algorithm>
#include <functional>
#include <map>

#include "model/jinja/builtins.hpp"
#include "model/jinja/python_text.hpp"
#include "model/jinja/text_format.hpp"
#include "model/unicode.hpp"
#include "model/utf8.hpp"

namespace talaria::model::jinja {

namespace {

using TextMethod = std::function<Value(const MarkedText&, const ArgumentValues&, const Site&)>;
using DictMethod = std::function<Value(const Dict&, const ArgumentValues&, const Site&)>;

TextMethod strip(bool left, bool right) {
  return [=](const MarkedText& text, const ArgumentValues& arguments, const Site& site) -> Value {
    arguments.check(1, {}, site);
    if (arguments.positional.empty() || arguments.positional[0].is_none())
      return text.part(python::strip(text.text(), nullptr, left, right));
    const std::string& characters = expect_text(arguments.positional[0], site);
    site.charge(characters.size() * text.size() / 64);
    return text.part(python::strip(text.text(), &characters, left, right));
  };
}

Value parts_of(const MarkedText& text, const std::vector<std::string_view>& parts,
               const Site& site) {
  std::vector<Value> out;
  for (const std::string_view part : parts) out.emplace_back(text.part(part));
  return Value::list(std::move(out), Sequence::list, site);
}

using Splitter = std::vector<std::string_view> (*)(std::string_view, const std::string*, i64);

TextMethod split(Splitter splitter) {
  return [=](const MarkedText& text, const ArgumentValues& arguments, const Site& site) -> Value {
    arguments.check(2, {"sep", "maxsplit"}, site);
    const Value* separator = arguments.find(0, "sep");
    const i64 limit = arguments.integer_or(1, "maxsplit", -1, site);
    const bool spaces = separator == nullptr || separator->is_none();
    const std::string* text_separator = spaces ? nullptr : &expect_text(*separator, site);
    if (text_separator != nullptr && text_separator->empty()) site.fail("split at an empty string");
    site.charge(text.size());
    return parts_of(text, splitter(text.text(), text_separator, limit), site);
  };
}

Value split_lines(const MarkedText& text, const ArgumentValues& arguments, const Site& site) {
  arguments.check(1, {"keepends"}, site);
  const Value* keep = arguments.find(0, "keepends");
  site.charge(text.size());
  return parts_of(text, python::lines(text.text(), keep != nullptr && truthy(*keep)), site);
}

/// partition and rpartition: what is before, the separator, what is behind.
TextMethod partition(bool last) {
  return [=](const MarkedText& text, const ArgumentValues& arguments, const Site& site) -> Value {
    arguments.check(1, {}, site);
    const std::string& separator = expect_text(arguments.required(0, "sep", site), site);
    if (separator.empty()) site.fail("partition at an empty string");
    const std::size_t at = last ? text.text().rfind(separator) : text.text().find(separator);
    std::vector<Value> out = {text, MarkedText(), MarkedText()};
    if (at == std::string::npos && last) std::swap(out[0], out[2]);
    if (at != std::string::npos)
      out = {text.part(0, at), text.part(at, at + separator.size()),
             text.part(at + separator.size(), text.size())};
    return Value::list(std::move(out), Sequence::tuple, site);
  };
}

/// startswith and endswith: a string, or a tuple of which one is enough.
TextMethod affix(bool (*test)(std::string_view, std::string_view)) {
  return [=](const MarkedText& text, const ArgumentValues& arguments, const Site& site) -> Value {
    arguments.check(1, {}, site);
    const Value& wanted = arguments.required(0, "prefix", site);
    if (wanted.list() == nullptr) return Value(test(text.text(), expect_text(wanted, site)));
    if (wanted.list()->kind != Sequence::tuple) site.fail("a string or tuple is needed");
    const auto& items = wanted.list()->items;
    return Value(std::any_of(items.begin(), items.end(), [&](const Value& item) {
      return test(text.text(), expect_text(item, site));
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
TextMethod change_method(Change function) {
  return [=](const MarkedText& text, const ArgumentValues& arguments, const Site& site) -> Value {
    arguments.check(0, {}, site);
    site.charge_text(2 * text.size());
    const auto changed = [&](std::string_view run) { return function(std::string(run), site); };
    return text.map(changed, changed(text.text()));
  };
}

std::size_t occurrences(std::string_view text, std::string_view part, const Site& site) {
  if (part.empty()) site.fail("an empty string is looked for");
  site.charge(text.size() / 16);
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string_view::npos; at += part.size())
    ++count;
  return count;
}

/// What takes the place of a part is of who wrote it, not of who wrote what it replaces.
Value replace(const MarkedText& text, const ArgumentValues& arguments, const Site& site) {
  arguments.check(3, {"old", "new", "count"}, site);
  const std::string& from = expect_text(arguments.required(0, "old", site), site);
  const Value& new_text = arguments.required(1, "new", site);
  expect_text(new_text, site);
  const MarkedText& to = *new_text.marked();
  site.charge_text(text.size() + occurrences(text.text(), from, site) * to.size());
  MarkedText out;
  std::size_t at = 0;
  for (i64 limit = arguments.integer_or(2, "count", -1, site); limit != 0; --limit) {
    const std::size_t found = text.text().find(from, at);
    if (found == std::string::npos) break;
    out.append(text, at, found);
    out.append(to);
    at = found + from.size();
  }
  out.append(text, at, text.size());
  return out;
}

/// find and index, and from the end rfind and rindex: characters before the first (last)
/// occurrence.
TextMethod find(bool last, bool needed) {
  return [=](const MarkedText& text, const ArgumentValues& arguments, const Site& site) -> Value {
    arguments.check(1, {}, site);
    site.charge(text.size() / 16);
    const std::string& part = expect_text(arguments.required(0, "sub", site), site);
    const std::size_t at = last ? text.text().rfind(part) : text.text().find(part);
    if (at != std::string::npos)
      return static_cast<i64>(utf8::length(std::string_view(text.text()).substr(0, at)));
    if (needed) site.fail("index of a substring that is not there");
    return i64{-1};
  };
}

Value count(const MarkedText& text, const ArgumentValues& arguments, const Site& site) {
  arguments.check(1, {}, site);
  const std::string& part = expect_text(arguments.required(0, "sub", site), site);
  return static_cast<i64>(occurrences(text.text(), part, site));
}

Value join(const MarkedText& text, const ArgumentValues& arguments, const Site& site) {
  arguments.check(1, {}, site);
  MarkedText out;
  bool first = true;
  for (const Value& item : iterate(arguments.required(0, "iterable", site), site)) {
    if (!std::exchange(first, false)) out.append(text);
    expect_text(item, site);
    out.append(*item.marked());
    site.charge_text(out.size() / 64 + text.size());
  }
  site.charge_text(out.size());
  return out;
}

TextMethod remove_affix(bool prefix) {
  return [=](const MarkedText& text, const ArgumentValues& arguments, const Site& site) -> Value {
    arguments.check(1, {}, site);
    const std::string& part = expect_text(arguments.required(0, "affix", site), site);
    if (prefix ? !text.text().starts_with(part) : !text.text().ends_with(part)) return text;
    return prefix ? text.part(part.size(), text.size()) : text.part(0, text.size() - part.size());
  };
}

/// isdigit and its kin: true if there are characters and all of them pass.
TextMethod all_of(bool (*test)(char32_t)) {
  return [=](const MarkedText& text, const ArgumentValues& arguments, const Site& site) -> Value {
    arguments.check(0, {}, site);
    site.charge(text.size());
    for (std::size_t at = 0; at < text.size();) {
      const utf8::Step next = utf8::step(text.text(), at);
      if (!test(next.code_point)) return Value(false);
      at += next.length;
    }
    return Value(!text.empty());
  };
}

/// islower and isupper: there are letters with case, and all of them have this one.
TextMethod has_case(bool upper) {
  return [=](const MarkedText& text, const ArgumentValues& arguments, const Site& site) -> Value {
    arguments.check(0, {}, site);
    site.charge(text.size());
    return Value(unicode::is_cased(text.text(), upper));
  };
}

Value format(const MarkedText& text, const ArgumentValues& arguments, const Site& site) {
  return brace_format(text, arguments, site);
}

const std::map<std::string, TextMethod>& text_methods() {
  static const std::map<std::string, TextMethod> methods = {
      {"strip", strip(true, true)},
      {"lstrip", strip(true, false)},
      {"rstrip", strip(false, true)},
      {"split", split(python::split)},
      {"rsplit", split(python::rsplit)},
      {"splitlines", split_lines},
      {"partition", partition(false)},
      {"rpartition", partition(true)},
      {"startswith", affix(starts_with)},
      {"endswith", affix(ends_with)},
      {"upper", change_method([](const std::string& t, const Site&) { return unicode::upper(t); })},
      {"lower", change_method([](const std::string& t, const Site&) { return unicode::lower(t); })},
      {"title", change_method([](const std::string& t, const Site& site) {
         return expect_ascii(python::title_method(t), site);
       })},
      {"capitalize", change_method([](const std::string& t, const Site& site) {
         return expect_ascii(python::capitalize(t), site);
       })},
      {"replace", replace},
      {"find", find(false, false)},
      {"rfind", find(true, false)},
      {"index", find(false, true)},
      {"rindex", find(true, true)},
      {"count", count},
      {"join", join},
      {"format", format},
      {"isdigit", all_of(unicode::is_digit)},
      {"isdecimal", all_of(unicode::is_decimal)},
      {"isalpha", all_of(unicode::is_letter)},
      {"isalnum",
       all_of([](char32_t c) { return unicode::is_letter(c) || unicode::is_numeric(c); })},
      {"isspace", all_of(python::is_space)},
      {"islower", has_case(false)},
      {"isupper", has_case(true)},
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

/// loop.cycle: the argument whose turn it is.
Value cycle(const Loop& loop, const ArgumentValues& arguments, const Site& site) {
  arguments.check(1000, {}, site);
  if (arguments.positional.empty()) site.fail("loop.cycle of nothing");
  return arguments.positional[loop.index0 % arguments.positional.size()];
}

/// loop.changed: true unless the call before had equal arguments.
Value changed(const Loop& loop, const ArgumentValues& arguments, const Site& site) {
  arguments.check(1000, {}, site);
  LoopState& state = *loop.state;
  const auto& now = arguments.positional;
  const bool same = state.was_called &&
                    std::equal(now.begin(), now.end(), state.changed.begin(), state.changed.end(),
                               [&](const Value& a, const Value& b) { return equal(a, b, site); });
  for (const Value& value : now) {
    if (value.is_transient()) site.fail("{} cannot be kept", type_name(value));
  }
  state.was_called = true;
  state.changed = now;
  return Value(!same);
}

} // namespace

bool has_method(const Value& value, const std::string& name) {
  return (value.text() != nullptr && text_methods().contains(name)) ||
         (value.dict() != nullptr && dict_methods().contains(name)) ||
         (value.loop() != nullptr && (name == "cycle" || name == "changed"));
}

Value call_method(const Value& value, const std::string& name, const ArgumentValues& arguments,
                  const Site& site) {
  if (const Loop* loop = value.loop())
    return name == "cycle" ? cycle(*loop, arguments, site) : changed(*loop, arguments, site);
  if (value.text() != nullptr) {
    if (value.is_markup())
      site.fail("the method {} of what safe or escape has made is not supported", name);
    site.charge_text(value.text()->size());
    return text_methods().at(name)(*value.marked(), arguments, site);
  }
  return dict_methods().at(name)(*value.dict(), arguments, site);
}

} // namespace talaria::model::jinja
