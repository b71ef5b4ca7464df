#include "attest/evidence/der.hpp"

namespace talaria::attest {
namespace {

/// Length octets at `at`; moves `at` behind them.
std::optional<std::size_t> take_length(Bytes bytes, std::size_t& at) {
  if (at >= bytes.size()) return std::nullopt;
  const u8 first = bytes[at++];
  if (first < 0x80) return first;
  const std::size_t octets = first & 0x7F;
  if (octets == 0 || octets > 4 || bytes.size() - at < octets) return std::nullopt;
  std::size_t length = 0;
  for (std::size_t i = 0; i < octets; ++i) length = length << 8 | bytes[at++];
  const bool is_shortest = length >= 0x80 && length >> (8 * (octets - 1)) != 0;
  return is_shortest ? std::optional(length) : std::nullopt;
}

} // namespace

std::optional<DerValue> take_der(Bytes& bytes) {
  if (bytes.empty() || (bytes[0] & 0x1F) == 0x1F) return std::nullopt;
  std::size_t at = 1;
  const auto length = take_length(bytes, at);
  if (!length || *length > bytes.size() - at) return std::nullopt;
  const DerValue value{bytes[0], bytes.subspan(at, *length)};
  bytes = bytes.subspan(at + *length);
  return value;
}

std::optional<Bytes> der_content(Bytes bytes, u8 tag) {
  const auto value = take_der(bytes);
  if (!value || value->tag != tag || !bytes.empty()) return std::nullopt;
  return value->content;
}

std::optional<std::vector<DerValue>> der_items(Bytes content, std::size_t most) {
  std::vector<DerValue> items;
  while (!content.empty()) {
    const auto value = take_der(content);
    if (!value || items.size() == most) return std::nullopt;
    items.push_back(*value);
  }
  return items;
}

std::optional<u32> der_unsigned(Bytes content) {
  if (content.empty() || content.size() > 5 || content[0] >= 0x80) return std::nullopt;
  if (content.size() > 1 && content[0] == 0 && content[1] < 0x80) return std::nullopt;
  if (content.size() == 5 && content[0] != 0) return std::nullopt;
  u32 value = 0;
  for (const u8 byte : content) value = value << 8 | byte;
  return value;
}

std::optional<std::string> der_object(Bytes content) {
  if (content.empty() || content.back() >= 0x80) return std::nullopt;
  std::string text;
  u64 arc = 0;
  for (const u8 byte : content) {
    if (arc == 0 && byte == 0x80) return std::nullopt; // not the shortest form
    if (arc >> 56 != 0) return std::nullopt;
    arc = arc << 7 | (byte & 0x7F);
    if (byte & 0x80) continue;
    if (text.empty()) {
      const u64 root = arc < 80 ? arc / 40 : 2;
      text = std::to_string(root) + "." + std::to_string(arc - root * 40);
    } else {
      text += "." + std::to_string(arc);
    }
    arc = 0;
  }
  return text;
}

} // namespace talaria::attest
