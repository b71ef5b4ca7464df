#pragma once

#include <vector>

#include "attest/evidence/certificate.hpp"

namespace talaria::attest {

enum class SnpProduct { milan, genoa, turin };

/// "Milan", "Genoa", "Turin": as in the names of AMD's certificates.
const char* to_string(SnpProduct product) noexcept;

enum class Vendor { amd, intel };

/// A key that is trusted because it stands here, and for nothing else.
struct TrustAnchor {
  Vendor vendor = Vendor::amd;
  SnpProduct product = SnpProduct::milan; ///< of AMD's: whose chips it vouches for
  Certificate certificate;
  /// A simulated platform's: it proves nothing about hardware.
  bool simulated = false;
};

/// Pinned roots. A chain that comes with evidence is a source of bytes: its root is looked up here
/// by the SHA-256 of its SubjectPublicKeyInfo, and the certificate that stands here is then used.
class TrustAnchors {
public:
  /// AMD's three and Intel's one.
  static const TrustAnchors& hardware();

  void add(TrustAnchor anchor) { anchors_.push_back(std::move(anchor)); }
  /// Null if no anchor of `vendor` has the key of `root`.
  const TrustAnchor* find(Vendor vendor, const Certificate& root) const;
  /// For a chain without its root: the anchor that issued `authority` by `rule`, or null.
  const TrustAnchor* issuer_of(Vendor vendor, const Certificate& authority,
                               SignatureRule rule) const;
  const std::vector<TrustAnchor>& all() const { return anchors_; }

private:
  std::vector<TrustAnchor> anchors_;
};

} // namespace talaria::attest
