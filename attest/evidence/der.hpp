#pragma once

#include <optional>
#include <string>
#include <vector>

#include "attest/evidence/bytes.hpp"

namespace talaria::attest {

inline constexpr u8 kDerInteger = 0x02;
inline constexpr u8 kDerBoolean = 0x01;
inline constexpr u8 kDerOctets = 0x04;
inline constexpr u8 kDerObject = 0x06;
inline constexpr u8 kDerUtf8 = 0x0C;
inline constexpr u8 kDerEnumerated = 0x0A;
inline constexpr u8 kDerAscii = 0x16;
inline constexpr u8 kDerSequence = 0x30;

struct DerValue {
  u8 tag = 0;
  Bytes content;
};

/// One value at the start of `bytes`, which then begins behind it. X.690 DER: one byte of tag,
/// shortest length, nothing indefinite. @return nothing for anything else; `bytes` is then as it
/// was.
std::optional<DerValue> take_der(Bytes& bytes);

/// The one value that `bytes` is, with the tag `tag`. @return nothing if it is not that.
std::optional<Bytes> der_content(Bytes bytes, u8 tag);

/// The values of a SEQUENCE's content, at most `most` of them.
std::optional<std::vector<DerValue>> der_items(Bytes content, std::size_t most);

/// The content of an INTEGER as an unsigned number below 2^32: shortest form, not negative.
std::optional<u32> der_unsigned(Bytes content);

/// The content of an OBJECT IDENTIFIER as "1.2.840...".
std::optional<std::string> der_object(Bytes content);

} // namespace talaria::attest
