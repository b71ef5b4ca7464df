#pragma once

#include <array>
#include <string>
#include <string_view>

#include "attest/evidence/refusal.hpp"
#include "core/integers.hpp"

namespace talaria::attest {

/// Where an enclave gives evidence over HTTP: POST with a nonce for the connection that the request
/// came by, GET for archives (role 3).
inline constexpr std::string_view kEvidencePath = "/v1/attestation";

using Nonce = std::array<u8, 32>;

/// {"nonce": "43 characters of base64url"}: everything that a verifier says before it has a
/// verdict, always 55 bytes.
std::string nonce_request(const Nonce& nonce);

/// Reads exactly that object. Refuses with stage format, `nonce`.
Parsed<Nonce> parse_nonce_request(std::string_view json);

} // namespace talaria::attest
