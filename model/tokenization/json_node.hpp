#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/error.hpp"

namespace talaria::model {

/// Components of a tokenizer that lie in one another, at most.
inline constexpr int kMaxNesting = 16;

/// A value inside a JSON file that knows where it stands, so that every complaint names file and
/// field. Borrows the document.
class JsonNode {
public:
  JsonNode(const nlohmann::json& value, const std::string& file) : value_(&value), file_(&file) {}

  /// The member `key`, null if there is none. Not an object: an error.
  JsonNode operator[](const std::string& key) const;
  /// The elements of an array. Not an array: an error.
  std::vector<JsonNode> elements() const;

  bool is_null() const { return value_->is_null(); }
  bool is_string() const { return value_->is_string(); }
  bool is_object() const { return value_->is_object(); }
  /// The value itself; not of the type: an error.
  const std::string& string() const;
  bool boolean() const;
  std::size_t size_below(std::size_t limit) const;
  /// `fallback` where the field is missing or null.
  bool boolean_or(bool fallback) const { return is_null() ? fallback : boolean(); }
  std::string string_or(const std::string& fallback) const {
    return is_null() ? fallback : string();
  }

  const nlohmann::json& raw() const { return *value_; }
  /// "FILE: PATH", to begin a message with.
  std::string where() const;
  [[noreturn]] void fail(const std::string& what) const;

private:
  JsonNode(const nlohmann::json& value, const std::string& file, std::string path)
      : value_(&value), file_(&file), path_(std::move(path)) {}

  const nlohmann::json* value_;
  const std::string* file_;
  std::string path_;
};

} // namespace talaria::model
