#pragma once

#include <string>
#include <vector>

#include "attest/evidence/certificate.hpp"
#include "attest/evidence/snp_report.hpp"

namespace talaria::attest {

/// What AMD's extensions (AMD 57230) say about the key of a VCEK or VLEK.
struct SnpLeaf {
  std::string product_name; ///< "Milan-B0", "Genoa", "Turin"
  SnpTcb tcb;
  std::vector<u8> hwid; ///< VCEK: 8 bytes for Turin, 64 before. VLEK: none
  std::string csp;      ///< VLEK: "CN=cc-us-east-2.amazonaws.com". VCEK: none
};

/// Reads the extensions as `product` has them. Refuses with stage leaf: `product` for the name of
/// another product, `leaf-extension` for one that is missing, repeated, malformed or out of place.
Parsed<SnpLeaf> read_snp_leaf(const Certificate& certificate, SnpProduct product, SnpSigner signer);

/// The bytes in a HWID extension: `size` of them, bare or in an OCTET STRING. Which of the two is
/// told by the length alone: a bare id may begin like the header of one. Empty: neither.
std::vector<u8> hwid_bytes(Bytes content, std::size_t size);

} // namespace talaria::attest
