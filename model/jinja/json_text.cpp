#include <algorithm>
#include <cmath>

#include "model/jinja/value.hpp"
#include "model/utf8.hpp"

namespace talaria::model::jinja {

namespace {

void append_unicode_escape(std::string& out, char32_t c) {
  if (c < 0x10000) {
    out += fmt::format("\\u{:04x}", static_cast<u32>(c));
    return;
  }
  const u32 rest = static_cast<u32>(c) - 0x10000;
  out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (rest >> 10), 0xDC00 + (rest & 0x3FF));
}

std::string escaped(std::string_view text, bool ascii) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (ascii && static_cast<unsigned char>(c) >= 0x7F) {
      const utf8::Step next = utf8::step(text, at);
      append_unicode_escape(out, next.code_point);
      at += next.length;
      continue;
    }
    ++at;
    switch (c) {
    case '"':
      out += "\\\"";
      break;
    case '\\':
      out += "\\\\";
      break;
    case '\n':
      out += "\\n";
      break;
    case '\r':
      out += "\\r";
      break;
    case '\t':
      out += "\\t";
      break;
    case '\f':
      out += "\\f";
      break;
    case '\b':
      out += "\\b";
      break;
    default:
      if (static_cast<unsigned char>(c) < 0x20)
        out += fmt::format("\\u{:04x}", static_cast<int>(c));
      else
        out.push_back(c);
    }
  }
  return out;
}

/// Writes a value the way Python's json module lays it out.
class Writer {
public:
  Writer(const JsonStyle& style, const Site& site) : style_(style), site_(site) {}

  void write(const Value& value) {
    site_.charge_text(out_.size() / 64);
    if (value.is_none()) {
      out_.append("null");
    } else if (const bool* flag = value.boolean()) {
      out_.append(*flag ? "true" : "false");
    } else if (const i64* number = value.integer()) {
      out_.append(std::to_string(*number));
    } else if (const double* real = value.real()) {
      out_.append(json_float(*real));
    } else if (const MarkedText* text = value.marked()) {
      site_.charge_text(text->size());
      write_string(*text);
    } else if (const Dict* dict = value.dict()) {
      write_dict(*dict);
    } else if (value.list() != nullptr &&
               (value.list()->kind == Sequence::list || value.list()->kind == Sequence::tuple)) {
      write_list(*value.list());
    } else {
      site_.fail("tojson is applied to {}, which is not supported", type_name(value));
    }
  }

  MarkedText finish() {
    site_.charge_text(out_.size());
    return std::move(out_);
  }

private:
  static std::string json_float(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
    return float_text(value);
  }

  void write_string(const MarkedText& text) {
    out_.append("\"");
    out_.append(text.map([&](std::string_view run) { return escaped(run, style_.ascii); }));
    out_.append("\"");
  }

  /// json.dumps writes none, booleans and numbers as keys, too.
  void write_key(const Value& key) {
    if (key.text() != nullptr) return write(key);
    out_.append("\"");
    write(key);
    out_.append("\"");
  }

  void write_list(const List& list) {
    begin('[', list.items.empty());
    for (std::size_t i = 0; i < list.items.size(); ++i) {
      separate(i == 0);
      write(list.items[i]);
    }
    end(']', list.items.empty());
  }

  void write_dict(const Dict& dict) {
    begin('{', dict.items.empty());
    std::vector<std::pair<Value, Value>> items = dict.items;
    if (style_.sorted) sort_by_key(items);
    bool first = true;
    for (const auto& [key, item] : items) {
      separate(std::exchange(first, false));
      write_key(key);
      out_.append(style_.behind_key);
      write(item);
    }
    end('}', dict.items.empty());
  }

  void sort_by_key(std::vector<std::pair<Value, Value>>& items) const {
    for (const auto& item : items) {
      if (item.first.text() == nullptr)
        site_.fail("tojson sorts a mapping with other keys than strings");
    }
    std::stable_sort(items.begin(), items.end(), [](const auto& left, const auto& right) {
      return *left.first.text() < *right.first.text();
    });
  }

  void begin(char bracket, bool empty) {
    out_.append(std::string_view(&bracket, 1));
    if (!empty) ++level_;
  }

  void separate(bool first) {
    if (!first) out_.append(style_.between_items);
    new_line();
  }

  void end(char bracket, bool empty) {
    if (!empty) {
      --level_;
      new_line();
    }
    out_.append(std::string_view(&bracket, 1));
  }

  void new_line() {
    if (style_.indent < 0) return;
    const auto blanks = static_cast<std::size_t>(style_.indent * level_);
    site_.charge_text(blanks);
    out_.append("\n" + std::string(blanks, ' '));
  }

  const JsonStyle& style_;
  const Site& site_;
  i64 level_ = 0;
  MarkedText out_;
};

} // namespace

MarkedText to_json(const Value& value, const JsonStyle& style, const Site& site) {
  if (style.indent > 64) site.fail("tojson indents by more than 64");
  Writer writer(style, site);
  writer.write(value);
  return writer.finish();
}

} // namespace talaria::model::jinja
