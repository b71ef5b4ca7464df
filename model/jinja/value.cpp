#include "model/jinja/value.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "model/unicode.hpp"
#include "model/utf8.hpp"

namespace talaria::model::jinja {

namespace {

int depth_of(const Value& value) {
  if (const List* list = value.list()) return list->depth;
  if (const Dict* dict = value.dict()) return dict->depth;
  return 0;
}

/// The depth of a container that holds `value` besides what gave it `depth` so far.
int deepen(int depth, const Value& value, const Site& site) {
  if (value.is_transient())
    site.fail("{} is kept in a value, which is not supported", type_name(value));
  depth = std::max(depth, depth_of(value) + 1);
  if (depth > max_nesting) site.fail("lists are nested more than {} deep", max_nesting);
  return depth;
}

bool same_key(const Value& left, const Value& right) {
  if (left.text() != nullptr && right.text() != nullptr) return *left.text() == *right.text();
  if (left.integer() != nullptr && right.integer() != nullptr)
    return *left.integer() == *right.integer();
  return left.is_none() && right.is_none();
}

} // namespace

std::size_t Dict::position(const Value& key) const {
  std::size_t at = 0;
  while (at < items.size() && !same_key(items[at].first, key)) ++at;
  return at;
}

const Value* Dict::find(const Value& key) const {
  const std::size_t at = position(key);
  return at < items.size() ? &items[at].second : nullptr;
}

Value Value::list(std::vector<Value> items, Sequence kind, const Site& site) {
  List out{std::move(items), kind, 1};
  site.charge(out.items.size());
  for (const Value& item : out.items) out.depth = deepen(out.depth, item, site);
  Value value;
  value.data_ = std::make_shared<const List>(std::move(out));
  return value;
}

Value Value::dict(std::vector<std::pair<Value, Value>> items, const Site& site) {
  Dict out;
  for (auto& [key, item] : items) {
    site.charge(1 + out.items.size());
    if (key.text() == nullptr && key.integer() == nullptr && !key.is_none())
      site.fail("a key of a mapping is {}, which is not supported", type_name(key));
    out.depth = deepen(out.depth, item, site);
    const std::size_t known = out.position(key);
    if (known < out.items.size())
      out.items[known].second = std::move(item); // the last one wins, in the first one's place
    else
      out.items.emplace_back(std::move(key), std::move(item));
  }
  Value value;
  value.data_ = std::make_shared<const Dict>(std::move(out));
  return value;
}

const MarkedText* Value::marked() const {
  const Text* text = get<Text>();
  return text != nullptr ? text->get() : nullptr;
}

const std::string* Value::text() const {
  const MarkedText* text = marked();
  return text != nullptr ? &text->text() : nullptr;
}

Value Value::as_markup() const {
  Value out = *this;
  out.markup_ = true;
  return out;
}

const Closure* Value::closure() const {
  const auto* closure = get<std::shared_ptr<const Closure>>();
  return closure != nullptr ? closure->get() : nullptr;
}

const List* Value::list() const {
  const auto* list = get<std::shared_ptr<const List>>();
  return list != nullptr ? list->get() : nullptr;
}

const Dict* Value::dict() const {
  const auto* dict = get<std::shared_ptr<const Dict>>();
  return dict != nullptr ? dict->get() : nullptr;
}

const Loop* Value::loop() const {
  const auto* loop = get<std::shared_ptr<const Loop>>();
  return loop != nullptr ? loop->get() : nullptr;
}

const i64* Value::integer() const {
  static constexpr i64 bits[] = {0, 1};
  if (const bool* flag = get<bool>()) return &bits[*flag ? 1 : 0];
  return get<i64>();
}

Namespace* Value::name_space() const {
  Namespace* const* found = get<Namespace*>();
  return found != nullptr ? *found : nullptr;
}

const Macro* Value::macro() const {
  const Macro* const* found = get<const Macro*>();
  return found != nullptr ? *found : nullptr;
}

bool Value::is_transient() const {
  return loop() != nullptr || (list() != nullptr && list()->kind == Sequence::iterator);
}

std::string_view type_name(const Value& value) {
  if (value.is_undefined()) return "undefined";
  if (value.is_none()) return "none";
  if (value.boolean() != nullptr) return "a boolean";
  if (value.integer() != nullptr) return "an integer";
  if (value.real() != nullptr) return "a float";
  if (value.text() != nullptr) return "a string";
  if (value.list() != nullptr) return value.is_transient() ? "an iterator" : "a sequence";
  if (value.dict() != nullptr) return "a mapping";
  if (value.name_space() != nullptr) return "a namespace";
  if (value.loop() != nullptr) return "the loop variable";
  return "a function";
}

bool truthy(const Value& value) {
  if (value.is_undefined() || value.is_none()) return false;
  if (const i64* number = value.integer()) return *number != 0;
  if (const double* number = value.real()) return *number != 0;
  if (const std::string* text = value.text()) return !text->empty();
  if (const List* list = value.list())
    return list->kind == Sequence::iterator || !list->items.empty();
  if (const Dict* dict = value.dict()) return !dict->items.empty();
  return true;
}

namespace {

bool equal_lists(const List& left, const List& right, const Site& site) {
  const auto plain = [](const List& list) {
    return list.kind == Sequence::list || list.kind == Sequence::tuple;
  };
  if (!plain(left) || !plain(right)) site.fail("compares an iterator or a range");
  return left.kind == right.kind &&
         std::equal(left.items.begin(), left.items.end(), right.items.begin(), right.items.end(),
                    [&](const Value& a, const Value& b) { return equal(a, b, site); });
}

bool equal_dicts(const Dict& left, const Dict& right, const Site& site) {
  site.charge(left.items.size() * right.items.size());
  return left.items.size() == right.items.size() &&
         std::all_of(left.items.begin(), left.items.end(), [&](const auto& item) {
           const Value* other = right.find(item.first);
           return other != nullptr && equal(item.second, *other, site);
         });
}

} // namespace

std::optional<double> number(const Value& value) {
  if (const double* real = value.real()) return *real;
  if (const i64* whole = value.integer()) return static_cast<double>(*whole);
  return std::nullopt;
}

bool equal(const Value& left, const Value& right, const Site& site) {
  site.charge(1);
  if (left.is_undefined() || right.is_undefined())
    return left.is_undefined() && right.is_undefined();
  if (left.is_none() || right.is_none()) return left.is_none() && right.is_none();
  if (left.integer() != nullptr && right.integer() != nullptr)
    return *left.integer() == *right.integer();
  if (const auto a = number(left), b = number(right); a && b) return *a == *b;
  if (left.text() != nullptr && right.text() != nullptr) {
    site.charge(left.text()->size() / 64);
    return *left.text() == *right.text();
  }
  if (left.list() != nullptr && right.list() != nullptr)
    return equal_lists(*left.list(), *right.list(), site);
  if (left.dict() != nullptr && right.dict() != nullptr)
    return equal_dicts(*left.dict(), *right.dict(), site);
  if (left.name_space() != nullptr && right.name_space() != nullptr)
    return left.name_space() == right.name_space();
  return false;
}

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::array<char, 40> digits{};
  const double size = std::abs(value);
  const bool scientific = size != 0 && (size < 1e-4 || size >= 1e16); // as Python's repr()
  const auto format = scientific ? std::chars_format::scientific : std::chars_format::fixed;
  const auto end = std::to_chars(digits.begin(), digits.end(), value, format).ptr;
  std::string out(digits.begin(), end);
  return scientific || out.find('.') != std::string::npos ? out : out + ".0";
}

namespace {

void append_escaped(std::string& out, char32_t c, std::string_view piece) {
  if (c == U'\n') {
    out += "\\n";
  } else if (c == U'\r') {
    out += "\\r";
  } else if (c == U'\t') {
    out += "\\t";
  } else if (unicode::is_printable(c)) {
    out += piece;
  } else if (c < 0x100) {
    out += fmt::format("\\x{:02x}", static_cast<u32>(c));
  } else if (c < 0x10000) {
    out += fmt::format("\\u{:04x}", static_cast<u32>(c));
  } else {
    out += fmt::format("\\U{:08x}", static_cast<u32>(c));
  }
}

MarkedText quoted(const MarkedText& text) {
  const bool doubles =
      text.text().find('\'') != std::string::npos && text.text().find('"') == std::string::npos;
  const char32_t quote = doubles ? U'"' : U'\'';
  const std::string around(1, static_cast<char>(quote));
  MarkedText out(around);
  out.append(text.map([quote](std::string_view run) {
    std::string escaped;
    for (std::size_t at = 0; at < run.size();) {
      const utf8::Step next = utf8::step(run, at);
      if (next.code_point == quote || next.code_point == U'\\') escaped.push_back('\\');
      append_escaped(escaped, next.code_point, run.substr(at, next.length));
      at += next.length;
    }
    return escaped;
  }));
  out.append(around);
  return out;
}

MarkedText print_list(const List& list, const Site& site) {
  if (list.kind != Sequence::list && list.kind != Sequence::tuple)
    site.fail("prints an iterator or a range, which is not supported");
  const bool tuple = list.kind == Sequence::tuple;
  MarkedText out(tuple ? "(" : "[");
  for (std::size_t i = 0; i < list.items.size(); ++i) {
    if (i != 0) out.append(", ");
    out.append(representation(list.items[i], site));
    site.charge_text(out.size() / 64);
  }
  if (tuple && list.items.size() == 1) out.append(",");
  out.append(tuple ? ")" : "]");
  return out;
}

MarkedText print_dict(const Dict& dict, const Site& site) {
  MarkedText out("{");
  for (const auto& [key, item] : dict.items) {
    if (out.size() > 1) out.append(", ");
    out.append(representation(key, site));
    out.append(": ");
    out.append(representation(item, site));
  }
  out.append("}");
  return out;
}

} // namespace

/// How a value looks inside a printed list.
MarkedText representation(const Value& value, const Site& site) {
  if (const MarkedText* text = value.marked()) {
    if (value.is_markup()) site.fail("prints a list that holds markup");
    site.charge_text(text->size());
    return quoted(*text);
  }
  if (value.is_undefined()) site.fail("prints a list that holds something undefined");
  return to_text(value, site);
}

MarkedText to_text(const Value& value, const Site& site) {
  if (value.is_undefined()) return {};
  if (value.is_none()) return MarkedText("None");
  if (const bool* flag = value.boolean()) return MarkedText(*flag ? "True" : "False");
  if (const i64* number = value.integer()) return MarkedText(std::to_string(*number));
  if (const double* number = value.real()) return MarkedText(float_text(*number));
  MarkedText out;
  if (const MarkedText* text = value.marked())
    out = *text;
  else if (const List* list = value.list())
    out = print_list(*list, site);
  else if (const Dict* dict = value.dict())
    out = print_dict(*dict, site);
  else
    site.fail("prints {}, which is not supported", type_name(value));
  site.charge_text(out.size());
  return out;
}

std::vector<Value> iterate(const Value& value, const Site& site) {
  std::vector<Value> out;
  if (value.is_undefined()) return out;
  if (const List* list = value.list()) {
    out = list->items;
  } else if (const Dict* dict = value.dict()) {
    for (const auto& item : dict->items) out.push_back(item.first);
  } else if (const MarkedText* text = value.marked()) {
    site.charge(text->size());
    for (std::size_t at = 0; at < text->size();) {
      const std::size_t length = utf8::step(text->text(), at).length;
      out.emplace_back(text->part(at, at + length));
      at += length;
    }
  } else {
    site.fail("iterates over {}", type_name(value));
  }
  site.charge(out.size());
  return out;
}

} // namespace talaria::model::jinja
