#include "export/yaml_writer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "core/error.hpp"

namespace talaria::exporting {

namespace {

constexpr std::size_t kColumns = 100;

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// Words that some version of YAML reads as null, a truth value or a merge key.
bool is_reserved_word(std::string_view text) {
  static constexpr std::array<std::string_view, 9> kWords{"null", "true", "false", "yes", "no",
                                                          "on",   "off",  "y",     "n"};
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
  return std::find(kWords.begin(), kWords.end(), lower) != kWords.end();
}

/// Length of the UTF-8 character at the start of `text` and its code point; 0 if malformed.
struct Character {
  std::size_t length = 0;
  unsigned code = 0;
};

Character first_character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {1, lead};
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return {};
  unsigned code = lead & (0xFFU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    code = (code << 6) | (byte(i) & 0x3FU);
  }
  const bool is_overlong = code < (length == 2 ? 0x80U : length == 3 ? 0x800U : 0x10000U);
  if (is_overlong || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return {};
  return {length, code};
}

/// What a reader may not show, or takes for the end of a line.
bool must_be_escaped(unsigned code) {
  return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x2028 || code == 0x2029 ||
         code == 0xFEFF || code == 0xFFFE || code == 0xFFFF;
}

std::string escaped(unsigned code) {
  switch (code) {
  case '\n':
    return "\\n";
  case '\t':
    return "\\t";
  case '\r':
    return "\\r";
  default:
    return code < 0x100 ? fmt::format("\\x{:02X}", code) : fmt::format("\\u{:04X}", code);
  }
}

Character valid_character(std::string_view text) {
  const Character found = first_character(text);
  if (found.length == 0)
    throw Error(Errc::internal, "a text that is not UTF-8 cannot be written as YAML");
  return found;
}

std::string in_double_quotes(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const Character next = valid_character(text);
    if (must_be_escaped(next.code)) {
      out += escaped(next.code);
    } else {
      if (next.code == '"' || next.code == '\\') out += '\\';
      out += text.substr(0, next.length);
    }
    text.remove_prefix(next.length);
  }
  return out + '"';
}

/// Whether a literal block ("|") gives back `text`: whole lines, one line end at the end, nothing
/// that needs an escape, and no blank that could be taken for indentation.
bool fits_literal_block(std::string_view text) {
  if (text.size() < 2 || text.back() != '\n' || text[text.size() - 2] == '\n') return false;
  if (text.front() == ' ' || text.front() == '\n') return false;
  while (!text.empty()) {
    const Character next = valid_character(text);
    if (next.code != '\n' && must_be_escaped(next.code)) return false;
    text.remove_prefix(next.length);
  }
  return true;
}

class Writer {
public:
  std::string take() && { return std::move(out_); }

  void document(const Json& value) {
    if (value.is_structured() && !value.empty())
      block(value, 0);
    else
      out_ += scalar(value) + '\n';
  }

private:
  static std::string scalar(const Json& value) {
    if (value.is_string()) return yaml_scalar(value.get_ref<const std::string&>());
    if (value.is_number_float() && !std::isfinite(value.get<double>()))
      throw Error(Errc::internal, "a number that is not finite cannot be written as YAML");
    return value.dump(); // null, true, 12, 0.5, {} and []
  }

  void block(const Json& value, std::size_t level) {
    if (value.is_array())
      for (const Json& item : value) list_item(item, level);
    else
      for (const auto& [key, item] : value.items()) mapping_item(key, item, level);
  }

  void mapping_item(const std::string& key, const Json& value, std::size_t level) {
    const std::string indent(2 * level, ' ');
    if (key.starts_with('#')) {
      out_ += comment_lines(value.get_ref<const std::string&>(), indent_next_ ? indent : "");
      if (!indent_next_) indent_next_ = true;
      return;
    }
    out_ += (indent_next_ ? indent : "") + yaml_scalar(key) + ':';
    indent_next_ = true;
    if (value.is_structured() && !value.empty()) {
      out_ += '\n';
      block(value, value.is_array() ? level : level + 1);
    } else if (value.is_string() && fits_literal_block(value.get_ref<const std::string&>())) {
      literal(value.get_ref<const std::string&>(), level + 1);
    } else {
      out_ += ' ' + scalar(value) + '\n';
    }
  }

  void list_item(const Json& value, std::size_t level) {
    out_ += std::string(2 * level, ' ') + "- ";
    if (value.is_structured() && !value.empty()) {
      indent_next_ = value.is_array(); // a list in a list begins a line of its own
      if (value.is_array()) out_.back() = '\n';
      block(value, level + 1);
    } else {
      out_ += scalar(value) + '\n';
    }
  }

  void literal(std::string_view text, std::size_t level) {
    out_ += " |\n";
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      if (end > 0) out_ += std::string(2 * level, ' ') + std::string(text.substr(0, end));
      out_ += '\n';
      text.remove_prefix(end + 1);
    }
  }

  std::string out_;
  bool indent_next_ = true; ///< false for what follows "- " on its line
};

} // namespace

bool is_plain_string(std::string_view text) {
  // Numbers, dates, times and ".inf" begin with something else than these. What is inside cannot
  // end a scalar or begin a comment: there is no blank behind a ':'.
  if (text.empty() || text.size() > 80 || is_reserved_word(text)) return false;
  if (!is_letter(text.front()) && text.front() != '/' && text.front() != '_') return false;
  if (text.back() == ':') return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return is_letter(c) || is_digit(c) ||
           std::string_view("-_./:").find(c) != std::string_view::npos;
  });
}

std::string yaml_scalar(std::string_view text) {
  return is_plain_string(text) ? std::string(text) : in_double_quotes(text);
}

std::string comment_lines(std::string_view text, std::string_view indent) {
  std::string out, line;
  const auto flush = [&] {
    if (!line.empty()) out += std::string(indent) + '#' + line + '\n';
    line.clear();
  };
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(" \n"), text.size());
    const std::string_view word = text.substr(0, end);
    if (!line.empty() && indent.size() + line.size() + word.size() + 2 > kColumns) flush();
    if (!word.empty()) line += ' ' + std::string(word);
    if (end < text.size() && text[end] == '\n') flush();
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  flush();
  return out;
}

std::string to_yaml(const Json& document) {
  Writer writer;
  writer.document(document);
  return std::move(writer).take();
}

std::string to_yaml_stream(const std::vector<Json>& documents) {
  std::string out;
  for (const Json& document : documents) out += (out.empty() ? "" : "---\n") + to_yaml(document);
  return out;
}

} // namespace talaria::exporting
