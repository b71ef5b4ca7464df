#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "attest/evidence/refusal.hpp"
#include "core/integers.hpp"

namespace talaria::attest {

using Bytes = std::span<const u8>;

/// The way out of a parser; caught by guarded() and never seen by a caller.
struct Refused {
  Refusal refusal;
};

[[noreturn]] inline void refuse(Stage stage, std::string_view code, std::string reason) {
  throw Refused{{stage, std::string(code), std::move(reason)}};
}

/// Runs a parser that leaves by refuse().
template <class Read>
auto guarded(Read&& read) -> Parsed<decltype(read())> {
  try {
    return read();
  } catch (const Refused& refused) {
    return refused.refusal;
  }
}

/// Fields of a record at fixed offsets, little-endian. Whatever lies outside is refused with
/// `code`, so that no parser can read beyond what it was given.
class Record {
public:
  Record(Bytes bytes, std::string_view code) : bytes_(bytes), code_(code) {}

  std::size_t size() const { return bytes_.size(); }

  Bytes slice(std::size_t at, std::size_t count) const {
    if (at > bytes_.size() || count > bytes_.size() - at)
      refuse(Stage::format, code_,
             "ends after " + std::to_string(bytes_.size()) + " bytes; expected " +
                 std::to_string(count) + " more at " + std::to_string(at));
    return bytes_.subspan(at, count);
  }
  template <std::size_t N>
  std::array<u8, N> array(std::size_t at) const {
    std::array<u8, N> value;
    std::copy_n(slice(at, N).data(), N, value.data());
    return value;
  }
  u8 byte(std::size_t at) const { return slice(at, 1)[0]; }
  u16 le16(std::size_t at) const { return static_cast<u16>(little_endian(at, 2)); }
  u32 le32(std::size_t at) const { return static_cast<u32>(little_endian(at, 4)); }
  u64 le64(std::size_t at) const { return little_endian(at, 8); }

private:
  u64 little_endian(std::size_t at, std::size_t count) const {
    u64 value = 0;
    const Bytes field = slice(at, count);
    for (std::size_t i = count; i-- > 0;) value = value << 8 | field[i];
    return value;
  }

  Bytes bytes_;
  std::string_view code_;
};

inline bool all_zero(Bytes bytes) {
  return std::ranges::all_of(bytes, [](u8 byte) { return byte == 0; });
}

inline std::vector<u8> to_vector(Bytes bytes) {
  return {bytes.begin(), bytes.end()};
}

inline Bytes as_bytes(std::string_view text) {
  return {reinterpret_cast<const u8*>(text.data()), text.size()};
}

inline std::string_view as_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

} // namespace talaria::attest
