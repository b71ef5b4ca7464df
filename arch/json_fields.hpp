#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/integers.hpp"

namespace talaria {

/// `text` with control characters replaced and cut to a length that keeps a message one short line.
std::string printable(std::string_view text);

/// Parses JSON that may be hostile: no key twice in one object, bounded depth, nothing behind the
/// value.
/// @throws Error{model} naming `file` and the place.
nlohmann::json parse_json(std::string_view text, const std::string& file);

/// The same for a text whose top level must be an object.
/// @throws Error{model}
nlohmann::json parse_json_object(std::string_view text, const std::string& file);

/// Typed, range-checked reading of one JSON object. A field that is null counts as absent, as it
/// does in transformers. Borrows the object.
class JsonFields {
public:
  /// `where` goes before every message: a file, or a file and the object's own field.
  JsonFields(const nlohmann::json& object, std::string where);

  /// nullptr if absent or null.
  const nlohmann::json* find(const char* name) const;
  /// True if the key is there at all, even with null.
  bool present(const char* name) const;

  std::optional<u32> integer(const char* name, u32 low, u32 high) const;
  u32 required_integer(const char* name, u32 low, u32 high) const;
  /// `accept` decides on the value rounded to float; `expected` says the same in words.
  std::optional<float> number(const char* name, bool (*accept)(float), const char* expected) const;
  std::optional<bool> boolean(const char* name) const;
  std::optional<std::string> text(const char* name) const;
  /// Ids below `limit`, written as one integer or as a list; empty if absent.
  std::vector<u32> ids(const char* name, u32 limit) const;

  /// @throws Error{model}: file, field, the value found and what would have been understood.
  [[noreturn]] void refuse(const char* name, const std::string& expected) const;

private:
  const nlohmann::json& object_;
  std::string where_;
};

} // namespace talaria
