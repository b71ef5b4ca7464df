#include "attest/policy/policy_fields.hpp"

#include "attest/evidence/encodings.hpp"
#include "config/scalars.hpp"

namespace talaria::attest {
namespace {

std::optional<u64> parse_mask(std::string_view text) {
  if (!text.starts_with("0x")) return config::parse_whole(text);
  text.remove_prefix(2);
  if (text.empty() || text.size() > 16) return std::nullopt;
  u64 value = 0;
  for (const char c : text) {
    const bool is_digit = c >= '0' && c <= '9';
    if (!is_digit && (c < 'a' || c > 'f')) return std::nullopt;
    value = value << 4 | static_cast<u64>(is_digit ? c - '0' : c - 'a' + 10);
  }
  return value;
}

std::optional<std::chrono::seconds> parse_span(std::string_view text) {
  constexpr u64 kMax = u64{3650} * 24 * 3600;
  if (text == "0") return std::chrono::seconds(0);
  u64 unit = 0;
  if (text.ends_with('s')) unit = 1;
  if (text.ends_with('m')) unit = 60;
  if (text.ends_with('h')) unit = 3600;
  if (text.ends_with('d')) unit = 24 * 3600;
  if (unit == 0) return std::nullopt;
  const auto count = config::parse_whole(text.substr(0, text.size() - 1));
  if (!count || *count > kMax / unit) return std::nullopt;
  return std::chrono::seconds(*count * unit);
}

bool is_label(std::string_view text) {
  constexpr std::size_t kLongest = 200;
  return !text.empty() && text.size() <= kLongest &&
         std::ranges::all_of(text, [](unsigned char c) { return c >= 0x20 && c != 0x7F; });
}

} // namespace

std::optional<std::vector<u8>> policy_hex(std::string_view text, std::size_t size) {
  for (const char c : text)
    if (c >= 'A' && c <= 'F') return std::nullopt;
  auto bytes = from_hex(text);
  return bytes && bytes->size() == size ? std::move(bytes) : std::nullopt;
}

std::vector<Value> one_or_more(const Value& value) {
  if (value.node.kind == config::YamlNode::Kind::scalar)
    return {{value.node, value.key, value.at, value.problems}};
  return config::list_items(value);
}

ReadValue yes_or_no(bool& out) {
  return [&out](const Value& value) {
    const auto text = config::scalar_text(value, "true or false");
    if (!text) return;
    if (value.node.is_quoted || (*text != "true" && *text != "false"))
      return value.expected("true or false");
    out = *text == "true";
  };
}

ReadValue mask_in(u64& out) {
  return [&out](const Value& value) {
    const std::string expected = "a mask like 0x10000000, or a whole number";
    const auto text = config::scalar_text(value, expected);
    if (!text) return;
    if (const auto mask = parse_mask(*text))
      out = *mask;
    else
      value.expected(expected);
  };
}

ReadValue span_in(std::chrono::seconds& out) {
  return [&out](const Value& value) {
    const std::string expected = "a time like 0, 90s, 5m, 1h or 14d";
    const auto text = config::scalar_text(value, expected);
    if (!text) return;
    if (const auto span = parse_span(*text))
      out = *span;
    else
      value.expected(expected);
  };
}

ReadValue label_in(std::string& out) {
  return config::text_in(out, is_label, "1 to 200 characters on one line");
}

ReadValue labels_in(std::vector<std::string>& out) {
  return [&out](const Value& value) {
    for (const Value& item : one_or_more(value)) label_in(out.emplace_back())(item);
  };
}

ReadValue words_in(std::function<bool(std::string_view)> take, std::string expected) {
  return [take = std::move(take), expected = std::move(expected)](const Value& value) {
    const auto items = one_or_more(value);
    if (items.empty() && value.node.kind == config::YamlNode::Kind::sequence)
      value.refuse("is empty; expected " + expected);
    for (const Value& item : items) {
      const auto text = config::scalar_text(item, expected);
      if (text && !take(*text)) item.expected(expected);
    }
  };
}

} // namespace talaria::attest
