#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/jinja/value.hpp"

namespace talaria::model::jinja {

/// The evaluated arguments of a call, filter or test. Each is asked for by place and name; what
/// nobody asked for is an error.
class ArgumentValues {
public:
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;

  /// The argument, or null.
  const Value* find(std::size_t place, std::string_view name) const;
  /// The argument; missing: an error.
  const Value& required(std::size_t place, std::string_view name, const Site& site) const;
  /// A missing one, or none, is `fallback`.
  std::string text_or(std::size_t place, std::string_view name, std::string fallback,
                      const Site& site) const;
  i64 integer_or(std::size_t place, std::string_view name, i64 fallback, const Site& site) const;
  /// There are at most `places` positional ones, and named ones only with these names.
  void check(std::size_t places, std::initializer_list<std::string_view> names,
             const Site& site) const;
};

const std::string& expect_text(const Value& value, const Site& site);
i64 expect_integer(const Value& value, const Site& site);
/// A text that Python would have changed; @throws Error through `site` if there is none, because it
/// is not ASCII.
std::string expect_ascii(std::optional<std::string> changed, const Site& site);

} // namespace talaria::model::jinja
