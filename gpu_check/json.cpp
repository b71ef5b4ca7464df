#include "gpu_check/json.hpp"

#include <cmath>
#include <cstdio>

namespace talaria::gpu_check {

namespace {

void write_string(std::string& out, const std::string& text) {
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte > 0x7e) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", byte);
      out += escaped;
    } else {
      out += c;
    }
  }
  out += '"';
}

void write_number(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  char digits[32];
  std::snprintf(digits, sizeof digits, "%.6g", value);
  out += digits;
}

void new_line(std::string& out, std::size_t level, bool one_line) {
  if (one_line) {
    if (out.back() == ',') out += ' ';
  } else {
    out += '\n' + std::string(2 * level, ' ');
  }
}

} // namespace

Json& Json::at(const std::string& name) {
  if (!std::holds_alternative<Members>(value_)) value_ = Members{};
  auto& members = std::get<Members>(value_);
  for (auto& [known, value] : members)
    if (known == name) return value;
  return members.emplace_back(name, Json()).second;
}

Json& Json::set(const std::string& name, Json value) {
  at(name) = std::move(value);
  return *this;
}

Json& Json::push(Json element) {
  if (!std::holds_alternative<Elements>(value_)) value_ = Elements{};
  std::get<Elements>(value_).push_back(std::move(element));
  return *this;
}

bool Json::is_plain() const {
  return !std::holds_alternative<Members>(value_) && !std::holds_alternative<Elements>(value_);
}

void Json::write(std::string& out, std::size_t level, bool one_line) const {
  if (std::holds_alternative<std::monostate>(value_)) out += "null";
  if (const bool* truth = std::get_if<bool>(&value_)) out += *truth ? "true" : "false";
  if (const i64* number = std::get_if<i64>(&value_)) out += std::to_string(*number);
  if (const double* number = std::get_if<double>(&value_)) write_number(out, *number);
  if (const std::string* text = std::get_if<std::string>(&value_)) write_string(out, *text);
  if (const Members* members = std::get_if<Members>(&value_)) {
    out += '{';
    for (const auto& [name, value] : *members) {
      if (&name != &members->front().first) out += ',';
      new_line(out, level + 1, one_line);
      write_string(out, name);
      out += ": ";
      value.write(out, level + 1, one_line);
    }
    if (!members->empty() && !one_line) new_line(out, level, false);
    out += '}';
  }
  if (const Elements* elements = std::get_if<Elements>(&value_)) {
    bool plain = true;
    for (const Json& element : *elements) plain = plain && element.is_plain();
    out += '[';
    for (const Json& element : *elements) {
      if (&element != &elements->front()) out += ',';
      new_line(out, level + 1, one_line || plain);
      element.write(out, level + 1, true);
    }
    if (!elements->empty() && !one_line && !plain) new_line(out, level, false);
    out += ']';
  }
}

std::string Json::text() const {
  std::string out;
  write(out, 0, false);
  return out + '\n';
}

} // namespace talaria::gpu_check
