#include "model/jinja/value.hpp"

namespace talaria::model::jinja {

namespace {

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
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
  return out + "\"";
}

/// Writes a value the way Python's json module lays it out.
class Writer {
public:
  Writer(i64 indent, const Site& site) : indent_(indent), site_(site) {}

  void write(const Value& value) {
    site_.charge_text(out_.size() / 64);
    if (value.is_none()) {
      out_ += "null";
    } else if (const bool* flag = value.boolean()) {
      out_ += *flag ? "true" : "false";
    } else if (const i64* number = value.integer()) {
      out_ += std::to_string(*number);
    } else if (const std::string* text = value.text()) {
      site_.charge_text(text->size());
      out_ += json_string(*text);
    } else if (const Dict* dict = value.dict()) {
      write_dict(*dict);
    } else if (value.list() != nullptr &&
               (value.list()->kind == Sequence::list || value.list()->kind == Sequence::tuple)) {
      write_list(*value.list());
    } else {
      site_.fail("tojson is applied to {}, which is not supported", type_name(value));
    }
  }

  std::string finish() {
    site_.charge_text(out_.size());
    return std::move(out_);
  }

private:
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
    bool first = true;
    for (const auto& [key, item] : dict.items) {
      separate(std::exchange(first, false));
      if (key.text() == nullptr)
        site_.fail("tojson is applied to a mapping with other keys than strings");
      write(key);
      out_ += ": ";
      write(item);
    }
    end('}', dict.items.empty());
  }

  void begin(char bracket, bool empty) {
    out_.push_back(bracket);
    if (!empty) ++level_;
  }

  void separate(bool first) {
    if (!first) out_ += indent_ < 0 ? ", " : ",";
    new_line();
  }

  void end(char bracket, bool empty) {
    if (!empty) {
      --level_;
      new_line();
    }
    out_.push_back(bracket);
  }

  void new_line() {
    if (indent_ < 0) return;
    const auto blanks = static_cast<std::size_t>(indent_ * level_);
    site_.charge_text(blanks);
    out_ += '\n';
    out_.append(blanks, ' ');
  }

  i64 indent_;
  const Site& site_;
  i64 level_ = 0;
  std::string out_;
};

} // namespace

std::string to_json(const Value& value, i64 indent, const Site& site) {
  if (indent > 64) site.fail("tojson indents by more than 64");
  Writer writer(indent, site);
  writer.write(value);
  return writer.finish();
}

} // namespace talaria::model::jinja
