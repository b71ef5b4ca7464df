#include <algorithm>
#include <array>

#include "model/jinja/arguments.hpp"
#include "model/jinja/operators.hpp"
#include "model/utf8.hpp"

namespace talaria::model::jinja {

namespace {

// What Python's own objects have: an attribute of theirs hides a mapping's item of the same name,
// and elsewhere is not the same as undefined. Only their methods can be called here (methods.cpp).
constexpr std::array<std::string_view, 47> text_attributes = {
    "capitalize",   "casefold",    "center",    "count",      "encode",       "endswith",
    "expandtabs",   "find",        "format",    "format_map", "index",        "isalnum",
    "isalpha",      "isascii",     "isdecimal", "isdigit",    "isidentifier", "islower",
    "isnumeric",    "isprintable", "isspace",   "istitle",    "isupper",      "join",
    "ljust",        "lower",       "lstrip",    "maketrans",  "partition",    "removeprefix",
    "removesuffix", "replace",     "rfind",     "rindex",     "rjust",        "rpartition",
    "rsplit",       "rstrip",      "split",     "splitlines", "startswith",   "strip",
    "swapcase",     "title",       "translate", "upper",      "zfill"};
constexpr std::array<std::string_view, 11> dict_attributes = {
    "clear", "copy",    "fromkeys",   "get",    "items", "keys",
    "pop",   "popitem", "setdefault", "update", "values"};
constexpr std::array<std::string_view, 14> list_attributes = {
    "append", "clear",  "copy",    "count", "extend", "index", "insert",
    "pop",    "remove", "reverse", "sort",  "start",  "stop",  "step"};
constexpr std::array<std::string_view, 9> integer_attributes = {
    "as_integer_ratio", "bit_count", "bit_length", "conjugate", "denominator",
    "from_bytes",       "imag",      "numerator",  "real"};

constexpr std::array<std::string_view, 8> float_attributes = {
    "as_integer_ratio", "conjugate", "from_number", "fromhex", "hex", "imag", "is_integer", "real"};

bool has(const auto& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool has_attribute(const Value& value, const std::string& name) {
  if (name.starts_with('_')) return true;
  if (value.text() != nullptr) return has(text_attributes, name);
  if (value.dict() != nullptr) return has(dict_attributes, name);
  if (value.list() != nullptr) return has(list_attributes, name);
  if (value.integer() != nullptr) return has(integer_attributes, name) || name == "to_bytes";
  if (value.real() != nullptr) return has(float_attributes, name);
  return value.function() != nullptr || value.macro() != nullptr || value.closure() != nullptr;
}

Value missing(const Value& value, const std::string& name, const Site& site) {
  if (has_attribute(value, name))
    site.fail("the attribute {} of {} is not supported", name, type_name(value));
  return Undefined{name};
}

Value loop_attribute(const Loop& loop, const std::string& name, const Site& site) {
  const std::vector<Value>& items = loop.state->items;
  const auto size = static_cast<i64>(items.size());
  const auto index0 = static_cast<i64>(loop.index0);
  if (name == "index") return index0 + 1;
  if (name == "index0") return index0;
  if (name == "revindex") return size - index0;
  if (name == "revindex0") return size - index0 - 1;
  if (name == "first") return Value(index0 == 0);
  if (name == "last") return Value(index0 + 1 == size);
  if (name == "length") return size;
  if (name == "depth") return i64{1};
  if (name == "depth0") return i64{0};
  if (name == "previtem") return index0 == 0 ? Undefined{name} : items[loop.index0 - 1];
  if (name == "nextitem") return index0 + 1 == size ? Undefined{name} : items[loop.index0 + 1];
  if (name == "cycle" || name == "changed" || name.starts_with('_'))
    site.fail("loop.{} is not supported here", name);
  return Undefined{name};
}

} // namespace

Value attribute(const Value& value, const std::string& name, const Site& site) {
  if (const Undefined* nothing = value.undefined())
    site.fail("{} is undefined and has no attribute {}",
              nothing->name.empty() ? "a value" : nothing->name, name);
  if (const Loop* loop = value.loop()) return loop_attribute(*loop, name, site);
  if (const Namespace* space = value.name_space()) {
    for (const auto& [key, item] : space->items) {
      site.charge(1);
      if (key == name) return item;
    }
    if (name.starts_with('_')) site.fail("the attribute {} is not supported", name);
    return Undefined{name};
  }
  if (const Dict* dict = value.dict(); dict != nullptr && !has_attribute(value, name)) {
    site.charge(dict->items.size());
    const Value* found = dict->find(Value(name));
    return found != nullptr ? *found : Undefined{name};
  }
  return missing(value, name, site);
}

namespace {

/// The element at a Python index (negative ones count from the end), or nothing.
const Value* element(const List& list, i64 index) {
  const auto size = static_cast<i64>(list.items.size());
  if (index < 0) index += size;
  return index < 0 || index >= size ? nullptr : &list.items[static_cast<std::size_t>(index)];
}

/// Where each character of a text begins, and its end.
std::vector<std::size_t> beginnings(const std::string& text, const Site& site) {
  site.charge_text(text.size());
  std::vector<std::size_t> out;
  for (std::size_t at = 0; at < text.size(); at += utf8::step(text, at).length) out.push_back(at);
  out.push_back(text.size());
  return out;
}

Value character(const MarkedText& text, i64 index, const Site& site) {
  const std::vector<std::size_t> at = beginnings(text.text(), site);
  const auto size = static_cast<i64>(at.size()) - 1;
  if (index < 0) index += size;
  if (index < 0 || index >= size) return Undefined{"a character beyond the end"};
  const auto begin = static_cast<std::size_t>(index);
  return text.part(at[begin], at[begin + 1]);
}

bool indexable(const List& list) {
  return list.kind != Sequence::view && list.kind != Sequence::iterator;
}

} // namespace

Value item(const Value& value, const Value& index, const Site& site) {
  if (const Undefined* nothing = value.undefined())
    site.fail("{} is undefined and has no items",
              nothing->name.empty() ? "a value" : nothing->name);
  if (const Dict* dict = value.dict()) {
    site.charge(dict->items.size());
    if (const Value* found = dict->find(index)) return *found;
  } else if (const i64* number = index.integer()) {
    if (const MarkedText* text = value.marked()) return character(*text, *number, site);
    const List* list = value.list();
    if (list != nullptr && !indexable(*list)) site.fail("an iterator has no items");
    const Value* found = list != nullptr ? element(*list, *number) : nullptr;
    return found != nullptr ? *found : Undefined{"an item that is not there"};
  }
  if (const std::string* name = index.text()) {
    if (value.dict() != nullptr) return missing(value, *name, site);
    return attribute(value, *name, site);
  }
  return Undefined{"an item that is not there"};
}

namespace {

i64 bound(const Value& value, i64 fallback, i64 size, i64 low, i64 high, const Site& site) {
  if (value.is_none()) return fallback;
  i64 at = expect_integer(value, site);
  if (at < 0) at = at < -size ? -1 : at + size;
  return std::clamp(at, low, high);
}

/// The indices that Python's slice covers.
std::vector<std::size_t> covered(i64 size, const Value& start, const Value& stop, const Value& step,
                                 const Site& site) {
  const i64 stride = step.is_none() ? 1 : expect_integer(step, site);
  if (stride == 0) site.fail("a slice with step 0");
  const bool forward = stride > 0;
  const i64 low = forward ? 0 : -1;
  const i64 high = forward ? size : size - 1;
  i64 at = bound(start, forward ? low : high, size, low, high, site);
  const i64 end = bound(stop, forward ? high : low, size, low, high, site);
  site.charge(static_cast<u64>(size));
  std::vector<std::size_t> out;
  const i64 jump = std::clamp<i64>(stride, -size - 1, size + 1);
  for (; forward ? at < end : at > end; at += jump) out.push_back(static_cast<std::size_t>(at));
  return out;
}

} // namespace

Value slice(const Value& value, const Value& start, const Value& stop, const Value& step,
            const Site& site) {
  if (const MarkedText* text = value.marked()) {
    const std::vector<std::size_t> at = beginnings(text->text(), site);
    MarkedText out;
    for (const std::size_t i : covered(static_cast<i64>(at.size()) - 1, start, stop, step, site))
      out.append(*text, at[i], at[i + 1]);
    return out;
  }
  const List* list = value.list();
  if (list == nullptr || !indexable(*list)) site.fail("a slice of {}", type_name(value));
  std::vector<Value> out;
  for (const std::size_t at :
       covered(static_cast<i64>(list->items.size()), start, stop, step, site))
    out.push_back(list->items[at]);
  return Value::list(std::move(out), list->kind, site);
}

} // namespace talaria::model::jinja
