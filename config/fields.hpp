#pragma once

#include <chrono>
#include <concepts>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/problems.hpp"
#include "config/yaml_tree.hpp"
#include "core/integers.hpp"

namespace talaria::config {

/// A value on its way into a struct: the node, where to point at, and whom to complain to.
struct Value {
  const YamlNode& node;
  std::string key; ///< dotted, e.g. masking.pool.memory
  Position at;
  Problems& problems;

  void refuse(std::string_view what) const { problems.add(at, key, what); }
  /// "is 'x'; expected `expected`", whatever the node is.
  void expected(std::string_view expected) const;
};

using ReadValue = std::function<void(const Value&)>;

enum class Presence { optional, required };

/// One row of a mapping's table: a key and what to do with its value.
struct Field {
  std::string_view key;
  ReadValue read;
  Presence presence = Presence::optional;
};

/// Reads a mapping by its table. Unknown, repeated and missing keys are problems.
void read_mapping(const Value& value, const std::vector<Field>& fields);

/// The items of a list; complains and gives none if it is not one.
std::vector<Value> list_items(const Value& value);

/// The scalar's text; complains if there is none.
std::optional<std::string_view> scalar_text(const Value& value, std::string_view expected);

// What a row may do with its value. A value that is not accepted leaves `out` as it was. `out` must
// outlive the call of read_mapping.

ReadValue one_of(std::string& out, std::vector<std::string_view> accepted);
ReadValue whole_within(std::function<void(u64)> store, u64 low, u64 high);
ReadValue ratio_in(double& out); ///< above 0 and up to 1
ReadValue bytes_in(std::size_t& out);
ReadValue bytes_or_auto_in(std::optional<std::size_t>& out); ///< auto: nothing
ReadValue duration_in(std::chrono::milliseconds& out, std::chrono::milliseconds low,
                      std::chrono::milliseconds high);
ReadValue path_in(std::filesystem::path& out, const std::filesystem::path& folder);
ReadValue listen_address_in(std::optional<std::string>& out);
/// Any text that `accepts` takes.
ReadValue text_in(std::string& out, bool (*accepts)(std::string_view), std::string expected);

template <std::unsigned_integral Integer>
ReadValue whole_in(Integer& out, u64 low, u64 high) {
  return whole_within([&out](u64 value) { out = static_cast<Integer>(value); }, low, high);
}

} // namespace talaria::config
