#pragma once

#include <concepts>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/integers.hpp"

namespace talaria::gpu_check {

/// A JSON value to be written; objects keep the order in which their members were set. Numbers that
/// JSON cannot say (infinity, NaN) are written as null.
class Json {
public:
  Json() = default; ///< null
  Json(bool value) : value_(value) {}
  Json(std::integral auto value) : value_(static_cast<i64>(value)) {}
  Json(double value) : value_(value) {}
  Json(std::string value) : value_(std::move(value)) {}
  Json(const char* value) : value_(std::string(value)) {}

  static Json object() { return Json(Members{}); }
  static Json array() { return Json(Elements{}); }

  /// Sets a member of an object, in its old place if it has one. Returns this object.
  Json& set(const std::string& name, Json value);
  /// The member of an object, null at first.
  Json& at(const std::string& name);
  /// Appends to an array; null becomes one.
  Json& push(Json element);

  /// The text, indented by two spaces a level; arrays of plain values and objects in arrays stand
  /// on one line. ASCII: other bytes become \u00XX, as if they were Latin-1.
  std::string text() const;

private:
  using Members = std::vector<std::pair<std::string, Json>>;
  using Elements = std::vector<Json>;
  explicit Json(Members members) : value_(std::move(members)) {}
  explicit Json(Elements elements) : value_(std::move(elements)) {}

  bool is_plain() const;
  void write(std::string& out, std::size_t level, bool one_line) const;

  std::variant<std::monostate, bool, i64, double, std::string, Members, Elements> value_;
};

} // namespace talaria::gpu_check
