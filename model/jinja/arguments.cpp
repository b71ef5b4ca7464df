#include "model/jinja/arguments.hpp"

#include <algorithm>

namespace talaria::model::jinja {

const Value* ArgumentValues::find(std::size_t place, std::string_view name) const {
  if (place < positional.size()) return &positional[place];
  for (const auto& [key, value] : named) {
    if (key == name) return &value;
  }
  return nullptr;
}

const Value& ArgumentValues::required(std::size_t place, std::string_view name,
                                      const Site& site) const {
  const Value* found = find(place, name);
  if (found == nullptr) site.fail("the argument {} is missing", name);
  return *found;
}

std::string ArgumentValues::text_or(std::size_t place, std::string_view name, std::string fallback,
                                    const Site& site) const {
  const Value* found = find(place, name);
  return found == nullptr || found->is_none() ? fallback : expect_text(*found, site);
}

i64 ArgumentValues::integer_or(std::size_t place, std::string_view name, i64 fallback,
                               const Site& site) const {
  const Value* found = find(place, name);
  return found == nullptr || found->is_none() ? fallback : expect_integer(*found, site);
}

void ArgumentValues::check(std::size_t places, std::initializer_list<std::string_view> names,
                           const Site& site) const {
  if (positional.size() > places)
    site.fail("{} arguments where at most {} are supported", positional.size(), places);
  for (const auto& [key, value] : named) {
    if (std::find(names.begin(), names.end(), key) == names.end())
      site.fail("the argument {} is not supported", key);
  }
}

const std::string& expect_text(const Value& value, const Site& site) {
  if (value.text() == nullptr) site.fail("a string is needed, not {}", type_name(value));
  return *value.text();
}

i64 expect_integer(const Value& value, const Site& site) {
  if (value.integer() == nullptr) site.fail("an integer is needed, not {}", type_name(value));
  return *value.integer();
}

std::string expect_ascii(std::optional<std::string> changed, const Site& site) {
  if (!changed) site.fail("capitals of text beyond ASCII are not supported");
  return std::move(*changed);
}

} // namespace talaria::model::jinja
