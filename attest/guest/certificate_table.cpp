#include "attest/guest/certificate_table.hpp"

#include <array>

#include "core/digest.hpp"

namespace talaria::attest {
namespace {

constexpr std::size_t kEntryBytes = 24; // guid, offset, length
constexpr std::size_t kMostEntries = 64;

struct Known {
  std::string_view guid; ///< as it is written, without dashes
  const char* item;
};
constexpr std::array<Known, 5> kKnown{{{"63da758de6644564adc5f4b93be8accd", "leaf"}, // VCEK
                                       {"a8074bc2a25a483eaae639c045a0b8a1", "leaf"}, // VLEK
                                       {"4ab7b379bbac4fe4a02f05aef327c782", "authority"},
                                       {"c0b406a4a803495297433fb6014cd0ae", "root"},
                                       {"92f81bc358114d3d97ffd19f88dc67ea", "crl"}}};

u32 le32_at(Bytes bytes, std::size_t at) {
  u32 value = 0;
  for (std::size_t i = 4; i-- > 0;) value = value << 8 | bytes[at + i];
  return value;
}

/// Bytes of a GUID in the order in which it is written; in memory its first three fields are
/// little-endian.
std::string guid_at(Bytes bytes, std::size_t at) {
  constexpr std::array<std::size_t, 16> kOrder{3, 2, 1,  0,  5,  4,  7,  6,
                                               8, 9, 10, 11, 12, 13, 14, 15};
  std::array<u8, 16> guid{};
  for (std::size_t i = 0; i < guid.size(); ++i) guid[i] = bytes[at + kOrder[i]];
  return to_hex(guid);
}

std::string item_of(Bytes table, std::size_t at) {
  const std::string mixed = guid_at(table, at);
  const std::string plain = to_hex(table.subspan(at, 16)); // some hosts write it so
  for (const Known& known : kKnown)
    if (known.guid == mixed || known.guid == plain) return known.item;
  return {};
}

} // namespace

std::map<std::string, std::vector<u8>> read_certificate_table(Bytes table) {
  std::map<std::string, std::vector<u8>> items;
  for (std::size_t entry = 0; entry < kMostEntries; ++entry) {
    const std::size_t at = entry * kEntryBytes;
    if (at + kEntryBytes > table.size() || all_zero(table.subspan(at, 16))) break;
    const std::size_t offset = le32_at(table, at + 16);
    const std::size_t length = le32_at(table, at + 20);
    const std::string item = item_of(table, at);
    const bool is_inside = offset <= table.size() && length <= table.size() - offset;
    if (item.empty() || length == 0 || !is_inside) continue;
    items.try_emplace(item, to_vector(table.subspan(offset, length)));
  }
  return items;
}

} // namespace talaria::attest
