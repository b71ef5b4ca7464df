#pragma once

#include <string>
#include <vector>

#include "attest/evidence/bytes.hpp"
#include "attest/evidence/public_key.hpp"

namespace talaria::attest {

/// What Azure's paravisor keeps in its vTPM (NV index 0x01400001): a report of the hardware made at
/// boot, and the claims whose digest stands in its REPORT_DATA.
struct HclReport {
  enum class Kind { snp, tdx };

  u32 version = 0; ///< of the header: 1 or 2
  Kind kind = Kind::snp;
  HashKind hash = HashKind::sha256;
  std::vector<u8> report; ///< 1,184 bytes; a TDREPORT has 1,024 and zeros behind it
  std::vector<u8> claims; ///< JSON, exactly the bytes that are hashed
};

/// Refuses with stage format: `hcl-length`, `hcl-signature` (the magic), `hcl-version`,
/// `hcl-request`, `hcl-hash`, `hcl-type`, `reserved`, `trailing-bytes`.
Parsed<HclReport> parse_hcl(Bytes bytes);

/// The claims, once the report vouches for them.
struct HclClaims {
  PublicKey attestation_key; ///< HCLAkPub: RSA, 2,048 bits at least
  std::string user_data;     ///< hexadecimal, as it stands there
  std::string vm_id;         ///< vmUniqueId; empty without one
  std::optional<bool> secure_boot;
};

/// Refuses with stage binding, `hcl-ak`: no JSON object, or not exactly one usable HCLAkPub.
Parsed<HclClaims> read_hcl_claims(Bytes claims);

} // namespace talaria::attest
