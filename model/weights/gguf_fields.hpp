#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/integers.hpp"
#include "model/weights/gguf.hpp"

namespace talaria::model {

/// Typed, range-checked reading of the metadata of a GGUF file. Borrows it.
class GgufFields {
public:
  /// `file` goes before every message.
  GgufFields(const GgufMetadata& metadata, std::string file)
      : metadata_(metadata), file_(std::move(file)) {}

  const std::string& file() const noexcept { return file_; }
  /// nullptr if absent.
  const GgufValue* find(const std::string& key) const;
  bool has(const std::string& key) const { return find(key) != nullptr; }

  /// A whole number up to `high`. @throws Error{model} for another type, or outside.
  std::optional<u64> integer(const std::string& key, u64 high = 0xffffffffu) const;
  u64 required_integer(const std::string& key, u64 high = 0xffffffffu) const;
  /// An integer, or a list of integers (one for each layer) that are all the same.
  std::optional<u64> same_integer(const std::string& key) const;
  /// A finite number.
  std::optional<double> number(const std::string& key) const;
  std::optional<bool> boolean(const std::string& key) const;
  std::optional<std::string> text(const std::string& key) const;
  std::string required_text(const std::string& key) const;
  /// nullptr if absent. @throws Error{model} unless all elements are of T.
  template <class T>
  const GgufValue::List* list_of(const std::string& key) const {
    const GgufValue::List* const out = list(key);
    if (out == nullptr) return nullptr;
    for (const GgufValue& element : *out)
      if (!std::holds_alternative<T>(element.is))
        refuse(key, "a list whose elements are of another type");
    return out;
  }
  const GgufValue::List* list(const std::string& key) const;
  /// A list of whole numbers of any type; empty if absent.
  std::vector<u64> integers(const std::string& key) const;
  /// A list of strings; nullptr if absent.
  const GgufValue::List* texts(const std::string& key) const { return list_of<std::string>(key); }

  /// @throws Error{model}: file, key, and what was expected.
  [[noreturn]] void refuse(const std::string& key, const std::string& expected) const;

private:
  const GgufMetadata& metadata_;
  std::string file_;
};

} // namespace talaria::model
