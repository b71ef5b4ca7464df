#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "attest/policy/policy.hpp"
#include "config/fields.hpp"

// What rows of a policy's tables do with their values (config/fields.hpp).

namespace talaria::attest {

using config::ReadValue;
using config::Value;

/// The bytes of lower-case hexadecimal without 0x, if there are exactly `size` of them.
std::optional<std::vector<u8>> policy_hex(std::string_view text, std::size_t size);

ReadValue yes_or_no(bool& out);
/// A whole number, or a mask like 0x10000000.
ReadValue mask_in(u64& out);
/// 0, 90s, 5m, 1h or 14d.
ReadValue span_in(std::chrono::seconds& out);
/// One line of text, 1 to 200 characters.
ReadValue label_in(std::string& out);
ReadValue labels_in(std::vector<std::string>& out);
/// Each word of a list goes to `take`, which says whether it knows it.
ReadValue words_in(std::function<bool(std::string_view)> take, std::string expected);

/// The entries of a list; a single value counts as a list of one.
std::vector<Value> one_or_more(const Value& value);

/// One value or a list of N bytes each; with `any_allowed` also the word any.
template <std::size_t N>
ReadValue bytes_list_in(OneOf<N>& out, bool any_allowed = false) {
  return [&out, any_allowed](const Value& value) {
    if (any_allowed && value.node.kind == config::YamlNode::Kind::scalar &&
        value.node.text == "any")
      return out.clear();
    const auto items = one_or_more(value);
    if (items.empty()) value.refuse("is empty; expected one value at least");
    for (const Value& item : items) {
      const auto text = config::scalar_text(item, "hexadecimal");
      const auto bytes = text ? policy_hex(*text, N) : std::nullopt;
      if (!bytes) {
        item.expected(std::to_string(N) + " bytes as " + std::to_string(2 * N) +
                      " digits of lower-case hexadecimal");
        continue;
      }
      std::ranges::copy(*bytes, out.emplace_back().begin());
    }
  };
}

/// A mapping of numbers 0 to `most` to lists of N bytes.
template <std::size_t N>
ReadValue registers_in(std::map<u8, OneOf<N>>& out, u8 most) {
  return [&out, most](const Value& value) {
    std::vector<std::string> names;
    for (unsigned i = 0; i <= most; ++i) names.push_back(std::to_string(i));
    std::vector<OneOf<N>> read(names.size());
    std::vector<config::Field> fields;
    for (std::size_t i = 0; i < names.size(); ++i)
      fields.push_back({names[i], bytes_list_in(read[i])});
    config::read_mapping(value, fields);
    for (std::size_t i = 0; i < names.size(); ++i)
      if (!read[i].empty()) out[static_cast<u8>(i)] = std::move(read[i]);
  };
}

} // namespace talaria::attest
