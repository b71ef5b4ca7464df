#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <map>
#include <set>

#include "model/jinja/builtins.hpp"
#include "model/jinja/operators.hpp"
#include "model/jinja/python_text.hpp"
#include "model/jinja/text_format.hpp"
#include "model/unicode.hpp"
#include "model/utf8.hpp"

namespace talaria::model::jinja {

namespace {

using Filter = std::function<Value(const Value&, const ArgumentValues&, const Site&)>;

Value trim(const Value& value, const ArgumentValues& arguments, const Site& site) {
  arguments.check(1, {"chars"}, site);
  const MarkedText text = to_text(value, site);
  const Value* given = arguments.find(0, "chars");
  if (given == nullptr || given->is_none())
    return text.part(python::strip(text.text(), nullptr, true, true));
  const std::string& characters = expect_text(*given, site);
  site.charge(characters.size() * text.size() / 64);
  return text.part(python::strip(text.text(), &characters, true, true));
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

bool flag_or(const ArgumentValues& arguments, std::size_t place, std::string_view name,
             bool fallback) {
  const Value* found = arguments.find(place, name);
  return found == nullptr ? fallback : truthy(*found);
}

/// With the arguments, and their order, that transformers gives it.
Value json(const Value& value, const ArgumentValues& arguments, const Site& site) {
  arguments.check(4, {"ensure_ascii", "indent", "separators", "sort_keys"}, site);
  JsonStyle style;
  style.ascii = flag_or(arguments, 0, "ensure_ascii", false);
  style.indent = arguments.integer_or(1, "indent", -1, site);
  style.sorted = flag_or(arguments, 3, "sort_keys", false);
  if (style.indent >= 0) style.between_items = ",";
  const Value* separators = arguments.find(2, "separators");
  if (separators != nullptr && !separators->is_none()) {
    const std::vector<Value> two = iterate(*separators, site);
    if (two.size() != 2) site.fail("the separators of tojson are not two");
    style.between_items = expect_text(two[0], site);
    style.behind_key = expect_text(two[1], site);
  }
  return to_json(value, style, site);
}

Value fallback(const Value& value, const ArgumentValues& arguments, const Site& site) {
  arguments.check(2, {"default_value", "boolean"}, site);
  const Value* otherwise = arguments.find(0, "default_value");
  const bool falsy_too = flag_or(arguments, 1, "boolean", false);
  if (!value.is_undefined() && !(falsy_too && !truthy(value))) return value;
  return otherwise != nullptr ? *otherwise : Value(std::string());
}

template <class Change>
Filter change_filter(Change function) {
  return [=](const Value& value, const ArgumentValues& arguments, const Site& site) -> Value {
    arguments.check(0, {}, site);
    const MarkedText text = to_text(value, site);
    site.charge_text(2 * text.size());
    const auto changed = [&](std::string_view run) { return function(std::string(run), site); };
    return text.map(changed, changed(text.text()));
  };
}

/// item[part] for each part between the dots of an attribute; a number is an index.
Value attribute_of(Value item, const Value& name, const Site& site) {
  if (name.is_none()) return item;
  if (name.text() == nullptr) return talaria::model::jinja::item(item, name, site);
  const std::string dot = ".";
  for (const std::string_view part : python::split(*name.text(), &dot, -1)) {
    const bool index = !part.empty() && part.size() < 18 &&
                       part.find_first_not_of("0123456789") == std::string_view::npos;
    const Value key = index ? Value(i64{std::stoll(std::string(part))}) : Value(std::string(part));
    item = talaria::model::jinja::item(item, key, site);
  }
  return item;
}

Value join(const Value& value, const ArgumentValues& arguments, const Site& site) {
  arguments.check(2, {"d", "attribute"}, site);
  const Value* between = arguments.find(0, "d");
  const Value* name = arguments.find(1, "attribute");
  const MarkedText separator = between != nullptr ? to_text(*between, site) : MarkedText();
  MarkedText out;
  bool first = true;
  for (const Value& item : iterate(value, site)) {
    if (!std::exchange(first, false)) out.append(separator);
    out.append(to_text(name == nullptr ? item : attribute_of(item, *name, site), site));
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

Value safe(const Value& value, const ArgumentValues& arguments, const Site& site) {
  arguments.check(0, {}, site);
  return Value(to_text(value, site)).as_markup();
}

Value escape(const Value& value, const ArgumentValues& arguments, const Site& site) {
  arguments.check(0, {}, site);
  if (value.is_markup()) return value;
  const MarkedText text = to_text(value, site);
  site.charge_text(5 * text.size());
  const Value out = text.map([](std::string_view run) {
    std::string escaped;
    for (const char c : run) {
      const std::size_t at = std::string_view("&<>'\"").find(c);
      static constexpr std::string_view entities[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
      at == std::string_view::npos ? escaped.push_back(c) : void(escaped += entities[at]);
    }
    return escaped;
  });
  return out.as_markup();
}

/// The number that a string of the usual form is; nothing for one that is surely none. Others are
/// refused, so that nothing is read differently than in Python.
std::optional<double> parse_number(const std::string& whole, const Site& site) {
  std::string_view text = python::strip(whole, nullptr, true, true);
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const bool begins = !text.empty() && ((text[0] >= '0' && text[0] <= '9') || text[0] == '.');
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (begins && error == std::errc{} && end == text.data() + text.size())
    return negative ? -value : value;
  const std::string lower = unicode::lower(text);
  const bool unusual =
      lower == "nan" || lower == "inf" || lower == "infinity" ||
      (begins && lower.find('_') != std::string::npos) || error == std::errc::result_out_of_range ||
      std::any_of(text.begin(), text.end(), [](char c) { return static_cast<signed char>(c) < 0; });
  if (unusual) site.fail("a string that may be a number in another way than 1, 1.5 or 1e3");
  return std::nullopt;
}

/// int(): base 10 only.
Value integer(const Value& value, const ArgumentValues& arguments, const Site& site) {
  arguments.check(1, {"default"}, site);
  const Value* otherwise = arguments.find(0, "default");
  const Value missing = otherwise != nullptr ? *otherwise : Value(i64{0});
  if (value.is_undefined()) site.fail("int of undefined");
  if (value.integer() != nullptr) return *value.integer();
  std::optional<double> real;
  if (value.real() != nullptr) real = *value.real();
  if (value.text() != nullptr) {
    std::string_view text = python::strip(*value.text(), nullptr, true, true);
    const bool negative = text.starts_with('-');
    if (negative || text.starts_with('+')) text.remove_prefix(1);
    const auto digit = [](char c) { return c >= '0' && c <= '9'; };
    if (!text.empty() && text.size() <= 18 && std::all_of(text.begin(), text.end(), digit)) {
      const i64 number = std::stoll(std::string(text));
      return negative ? -number : number;
    }
    real = parse_number(*value.text(), site);
  }
  if (!real || !std::isfinite(*real)) return missing;
  if (std::abs(*real) >= 9e18) site.fail("an integer grows beyond 64 bits");
  return static_cast<i64>(*real);
}

Value floating(const Value& value, const ArgumentValues& arguments, const Site& site) {
  arguments.check(1, {"default"}, site);
  const Value* otherwise = arguments.find(0, "default");
  if (value.is_undefined()) site.fail("float of undefined");
  std::optional<double> out = number(value);
  if (value.text() != nullptr) out = parse_number(*value.text(), site);
  if (out) return Value(*out);
  return otherwise != nullptr ? *otherwise : Value(0.0);
}

Value absolute(const Value& value, const ArgumentValues& arguments, const Site& site) {
  arguments.check(0, {}, site);
  if (value.real() != nullptr) return Value(std::abs(*value.real()));
  const i64 whole = expect_integer(value, site);
  return whole < 0 ? arithmetic("-", i64{0}, whole, site) : Value(whole);
}

Value round(const Value& value, const ArgumentValues& arguments, const Site& site) {
  arguments.check(2, {"precision", "method"}, site);
  const i64 precision = arguments.integer_or(0, "precision", 0, site);
  const std::string method = arguments.text_or(1, "method", "common", site);
  if (!number(value)) site.fail("round of {}", type_name(value));
  if (precision < 0 || precision > 15) site.fail("round to {} places", precision);
  if (method == "common") {
    if (value.integer() != nullptr) return *value.integer();
    // Decimal digits are cut correctly, halves to even, by printf as by Python's round().
    return Value(std::stod(fmt::format("{:.{}f}", *value.real(), precision)));
  }
  if (method != "ceil" && method != "floor") site.fail("round by the method {}", method);
  const double scale = std::pow(10.0, static_cast<double>(precision));
  const double scaled = *number(value) * scale;
  return Value((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
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

Value format(const Value& value, const ArgumentValues& arguments, const Site& site) {
  const MarkedText text = to_text(value, site);
  if (arguments.named.empty())
    return printf_format(text, Value::list(arguments.positional, Sequence::tuple, site), site);
  if (!arguments.positional.empty()) site.fail("format with arguments by place and by name");
  std::vector<std::pair<Value, Value>> named;
  for (const auto& [name, argument] : arguments.named) named.emplace_back(name, argument);
  return printf_format(text, Value::dict(std::move(named), site), site);
}

Value indent(const Value& value, const ArgumentValues& arguments, const Site& site) {
  arguments.check(3, {"width", "first", "blank"}, site);
  const Value* width = arguments.find(0, "width");
  MarkedText indention(std::string(4, ' '));
  if (width != nullptr && width->text() != nullptr) {
    indention = *width->marked();
  } else if (width != nullptr) {
    const i64 blanks = std::max<i64>(expect_integer(*width, site), 0);
    site.charge_text(static_cast<std::size_t>(blanks));
    indention = MarkedText(std::string(static_cast<std::size_t>(blanks), ' '));
  }
  if (value.text() == nullptr) site.fail("indent of {}", type_name(value));
  MarkedText text = *value.marked();
  text.append("\n"); // so does Jinja2, and then drops the line behind it
  const bool blank = flag_or(arguments, 2, "blank", false);
  MarkedText out;
  if (flag_or(arguments, 1, "first", false)) out.append(indention);
  bool first = true;
  for (const std::string_view line : python::lines(text.text(), false)) {
    if (!first) out.append("\n");
    if (!first && (blank || !line.empty())) out.append(indention);
    out.append(text.part(line));
    first = false;
    site.charge_text(out.size() / 64 + indention.size());
  }
  site.charge_text(out.size());
  return out;
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
  std::vector<Value> out = iterate(value, site);
  std::reverse(out.begin(), out.end());
  // What Python cannot walk backwards, Jinja2 makes a list of.
  return Value::list(std::move(out), value.is_transient() ? Sequence::list : Sequence::iterator,
                     site);
}

/// What `sort` and its kin compare: texts without regard to case, unless asked for.
Value sort_key(const Value& item, const Value* name, bool case_sensitive, const Site& site) {
  Value key = name != nullptr ? attribute_of(item, *name, site) : item;
  if (case_sensitive || key.text() == nullptr) return key;
  site.charge_text(key.text()->size());
  return unicode::lower(*key.text());
}

/// The items in the order of their keys, the first of equal ones first.
std::vector<Value> sorted(std::vector<std::pair<Value, Value>> keyed, bool reverse,
                          const Site& site) {
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& left, const auto& right) {
    site.charge(4);
    return (reverse ? order("<", right.first, left.first, site)
                    : order("<", left.first, right.first, site)) < 0;
  });
  std::vector<Value> out;
  for (auto& [key, item] : keyed) out.push_back(std::move(item));
  return out;
}

Value sort(const Value& value, const ArgumentValues& arguments, const Site& site) {
  arguments.check(3, {"reverse", "case_sensitive", "attribute"}, site);
  const bool case_sensitive = flag_or(arguments, 1, "case_sensitive", false);
  const Value* attribute = arguments.find(2, "attribute");
  std::vector<Value> names;
  const std::string comma = ",";
  if (attribute != nullptr && attribute->text() != nullptr) {
    for (const std::string_view name : python::split(*attribute->text(), &comma, -1))
      names.emplace_back(std::string(name));
  } else {
    names.push_back(attribute != nullptr ? *attribute : Value(None{}));
  }
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : iterate(value, site)) {
    std::vector<Value> keys;
    for (const Value& name : names) keys.push_back(sort_key(item, &name, case_sensitive, site));
    keyed.emplace_back(Value::list(std::move(keys), Sequence::list, site), item);
  }
  return Value::list(sorted(std::move(keyed), flag_or(arguments, 0, "reverse", false), site),
                     Sequence::list, site);
}

Value dictsort(const Value& value, const ArgumentValues& arguments, const Site& site) {
  arguments.check(3, {"case_sensitive", "by", "reverse"}, site);
  const bool case_sensitive = flag_or(arguments, 0, "case_sensitive", false);
  const std::string by = arguments.text_or(1, "by", "key", site);
  if (by != "key" && by != "value") site.fail("dictsort by {}", by);
  if (value.dict() == nullptr) site.fail("dictsort of {}", type_name(value));
  std::vector<std::pair<Value, Value>> keyed;
  for (const auto& [key, item] : value.dict()->items)
    keyed.emplace_back(sort_key(by == "key" ? key : item, nullptr, case_sensitive, site),
                       Value::list({key, item}, Sequence::tuple, site));
  return Value::list(sorted(std::move(keyed), flag_or(arguments, 2, "reverse", false), site),
                     Sequence::list, site);
}

Value unique(const Value& value, const ArgumentValues& arguments, const Site& site) {
  arguments.check(2, {"case_sensitive", "attribute"}, site);
  const bool case_sensitive = flag_or(arguments, 0, "case_sensitive", false);
  std::vector<Value> seen;
  std::vector<Value> out;
  for (const Value& item : iterate(value, site)) {
    Value key = sort_key(item, arguments.find(1, "attribute"), case_sensitive, site);
    if (key.list() != nullptr || key.dict() != nullptr)
      site.fail("unique of {} is not supported", type_name(key));
    if (std::any_of(seen.begin(), seen.end(),
                    [&](const Value& known) { return equal(known, key, site); }))
      continue;
    seen.push_back(std::move(key));
    out.push_back(item);
  }
  return Value::list(std::move(out), Sequence::iterator, site);
}

Filter extreme(bool largest) {
  return [=](const Value& value, const ArgumentValues& arguments, const Site& site) -> Value {
    arguments.check(2, {"case_sensitive", "attribute"}, site);
    const bool case_sensitive = flag_or(arguments, 0, "case_sensitive", false);
    const Value* name = arguments.find(1, "attribute");
    Value best = Undefined{"the extreme of nothing"};
    Value best_key;
    for (const Value& item : iterate(value, site)) {
      Value key = sort_key(item, name, case_sensitive, site);
      const bool better = best.is_undefined() || (largest ? order(">", best_key, key, site)
                                                          : order("<", key, best_key, site)) < 0;
      if (!better) continue;
      best = item;
      best_key = std::move(key);
    }
    return best;
  };
}

Value sum(const Value& value, const ArgumentValues& arguments, const Site& site) {
  arguments.check(2, {"attribute", "start"}, site);
  const Value* name = arguments.find(0, "attribute");
  const Value* start = arguments.find(1, "start");
  Value out = start != nullptr ? *start : Value(i64{0});
  for (const Value& item : iterate(value, site)) {
    const Value part = name != nullptr ? attribute_of(item, *name, site) : item;
    if (out.text() != nullptr || part.text() != nullptr) site.fail("the sum of strings");
    out = arithmetic("+", out, part, site);
  }
  return out;
}

Value batch(const Value& value, const ArgumentValues& arguments, const Site& site) {
  arguments.check(2, {"linecount", "fill_with"}, site);
  const i64 size = expect_integer(arguments.required(0, "linecount", site), site);
  const Value* fill = arguments.find(1, "fill_with");
  if (size <= 0 || size > 1'000'000) site.fail("batches of {}", size);
  std::vector<Value> out;
  std::vector<Value> part;
  const auto close = [&] {
    out.push_back(Value::list(std::exchange(part, {}), Sequence::list, site));
  };
  for (const Value& item : iterate(value, site)) {
    if (static_cast<i64>(part.size()) == size) close();
    part.push_back(item);
  }
  if (!part.empty()) {
    site.charge(static_cast<u64>(size));
    if (fill != nullptr && !fill->is_none()) part.resize(static_cast<std::size_t>(size), *fill);
    close();
  }
  return Value::list(std::move(out), Sequence::iterator, site);
}

/// select, reject, selectattr and rejectattr: keep what a test says, by default being true. Of what
/// is false (none, an empty list, 0) Jinja2 makes nothing, without a look at the arguments.
Filter select(bool by_attribute, bool keep) {
  return [=](const Value& value, const ArgumentValues& arguments, const Site& site) -> Value {
    if (!truthy(value)) return Value::list({}, Sequence::iterator, site);
    arguments.check(8, {}, site);
    const std::size_t skip = by_attribute ? 1 : 0;
    const auto& given = arguments.positional;
    const Value name = by_attribute ? arguments.required(0, "attribute", site) : Value(None{});
    ArgumentValues rest;
    if (given.size() > skip + 1)
      rest.positional.assign(given.begin() + static_cast<std::ptrdiff_t>(skip) + 1, given.end());
    std::vector<Value> out;
    for (const Value& item : iterate(value, site)) {
      const Value tested = attribute_of(item, name, site);
      const bool yes = given.size() > skip
                           ? apply_test(expect_text(given[skip], site), tested, rest, site)
                           : truthy(tested);
      if (yes == keep) out.push_back(item);
    }
    return Value::list(std::move(out), Sequence::iterator, site);
  };
}

/// map(attribute=...) of one item; `otherwise` replaces what is undefined on the way.
Value mapped_attribute(Value item, const Value& name, const Value* otherwise, const Site& site) {
  if (otherwise == nullptr || otherwise->is_none())
    return attribute_of(std::move(item), name, site);
  if (name.text() != nullptr && name.text()->find('.') != std::string::npos)
    site.fail("a dotted attribute in map with a default");
  Value mapped = attribute_of(std::move(item), name, site);
  return mapped.is_undefined() ? *otherwise : mapped;
}

Value map(const Value& value, const ArgumentValues& arguments, const Site& site) {
  std::vector<Value> out;
  if (!truthy(value)) return Value::list({}, Sequence::iterator, site);
  const Value* name = arguments.find(1000, "attribute");
  const bool by_attribute = arguments.positional.empty() && name != nullptr;
  ArgumentValues rest;
  if (by_attribute) {
    arguments.check(0, {"attribute", "default"}, site);
  } else {
    arguments.required(0, "filter", site);
    rest.positional.assign(arguments.positional.begin() + 1, arguments.positional.end());
    rest.named = arguments.named;
  }
  for (const Value& item : iterate(value, site)) {
    if (by_attribute)
      out.push_back(mapped_attribute(item, *name, arguments.find(1000, "default"), site));
    else
      out.push_back(apply_filter(expect_text(arguments.positional[0], site), item, rest, site));
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
      {"upper", change_filter([](const std::string& t, const Site&) { return unicode::upper(t); })},
      {"lower", change_filter([](const std::string& t, const Site&) { return unicode::lower(t); })},
      {"title", change_filter([](const std::string& t, const Site& site) {
         return expect_ascii(python::title_filter(t), site);
       })},
      {"capitalize", change_filter([](const std::string& t, const Site& site) {
         return expect_ascii(python::capitalize(t), site);
       })},
      {"join", join},
      {"first", end_of(true)},
      {"last", end_of(false)},
      {"list", list},
      {"string", string},
      {"int", integer},
      {"float", floating},
      {"abs", absolute},
      {"round", round},
      {"safe", safe},
      {"escape", escape},
      {"e", escape},
      {"format", format},
      {"indent", indent},
      {"sort", sort},
      {"dictsort", dictsort},
      {"unique", unique},
      {"min", extreme(false)},
      {"max", extreme(true)},
      {"sum", sum},
      {"batch", batch},
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
  static const std::set<std::string> any_text = {"trim", "upper", "lower", "string"};
  static const std::set<std::string> of_markup = {"safe",  "escape", "e",     "tojson", "length",
                                                  "count", "list",   "first", "last",   "default",
                                                  "d",     "int",    "float"};
  site.charge(1);
  const auto filter = filters().find(name);
  if (filter == filters().end()) site.fail("the filter {} is not supported", name);
  const bool keeps = value.is_markup() && any_text.contains(name);
  if (value.is_markup() && !keeps && !of_markup.contains(name))
    site.fail("the filter {} of what safe or escape has made is not supported", name);
  const Value out = filter->second(value, arguments, site);
  return keeps ? out.as_markup() : out;
}

} // namespace talaria::model::jinja
