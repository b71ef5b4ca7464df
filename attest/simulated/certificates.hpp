#pragma once

#include <chrono>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "attest/simulated/signing_key.hpp"

namespace talaria::attest::simulated {

/// In every name of every simulated authority.
inline constexpr const char* kOrganisation = "TALARIA SIMULATION - NOT HARDWARE";

using TimePoint = std::chrono::sys_seconds;

/// How long a simulated authority lives: too short to be deployed by mistake.
inline constexpr std::chrono::days kLife{30};

struct Extension {
  std::string object; ///< "1.3.6.1..."
  std::vector<u8> content;
  bool critical = false;
};

struct CertificateSpec {
  std::string name; ///< CN of the subject; O is kOrganisation unless said otherwise
  std::string issuer;
  std::string organisation = kOrganisation;
  std::string issuer_organisation = kOrganisation;
  TimePoint starts{};
  TimePoint ends{};
  u32 serial = 1;
  int is_authority = -1; ///< basic constraints: 1 CA, 0 not, -1 none at all
  std::vector<Extension> extensions;
};

/// DER. An RSA key signs with PSS (SHA-384, 48 bytes of salt), an elliptic one with SHA-256 on
/// P-256 and SHA-384 on P-384.
std::vector<u8> make_certificate(const CertificateSpec& spec, const SigningKey& subject,
                                 const SigningKey& issuer);

struct ListSpec {
  std::string issuer;
  std::string organisation = kOrganisation;
  TimePoint starts{};
  TimePoint ends{};
  std::vector<u32> serials; ///< revoked
  u32 number = 1;
  std::vector<Extension> extensions;
};

/// DER.
std::vector<u8> make_revocation_list(const ListSpec& spec, const SigningKey& issuer);

/// PEM of one DER object.
std::string pem_of(std::span<const u8> der, const char* label = "CERTIFICATE");

} // namespace talaria::attest::simulated
