#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attest/evidence/bytes.hpp"

struct asn1_string_st; // OpenSSL's ASN1_STRING, as which it declares ASN1_TIME

namespace talaria::attest {

/// The digits of an even number of hexadecimal ones, of either case; nothing for anything else,
/// the empty text included.
std::optional<std::vector<u8>> from_hex(std::string_view text);

/// Base64 (RFC 4648, section 4) with padding; white space between characters is ignored.
std::optional<std::vector<u8>> from_base64(std::string_view text);

/// Base64url (section 5) without padding and without white space.
std::optional<std::vector<u8>> from_base64url(std::string_view text);

/// Base64url without padding.
std::string to_base64url(Bytes bytes);

/// Without white space at both ends.
std::string_view trimmed(std::string_view text);

/// The instant of an ASN1_TIME that ASN1_TIME_to_tm() can read.
TimePoint time_of(const asn1_string_st* time);

} // namespace talaria::attest
