#pragma once

#include <string>
#include <vector>

#include "attest/collateral/tar_archive.hpp"
#include "attest/evidence/evidence_set.hpp"

namespace talaria::attest {

/// Collateral by the names of a folder cache: amd/vcek/PRODUCT/HWID/SVNS.der,
/// amd/PRODUCT-SEV-PRODUCT.der, amd/PRODUCT.crl; intel/FMSPC/tcb_info.json, intel/qe_identity.json,
/// intel/tcb_chain.pem, intel/root.crl, intel/pck-platform.crl. A bundle is trusted for nothing:
/// whatever is taken from it is verified like what came with the evidence.
class Bundle {
public:
  /// Takes what `set` carries. What cannot be placed by its contents is left out.
  void add(const EvidenceSet& set);
  /// Gives `set` what it lacks, as far as it is here. @return the names of what was added.
  std::vector<std::string> complete(EvidenceSet& set) const;

  bool is_empty() const { return files_.empty(); }
  std::size_t size() const { return files_.size(); }

  /// A tar archive with manifest.json: what each file is, its SHA-256, and until when it is in
  /// force.
  std::vector<u8> to_tar() const;
  /// Refuses with stage format, `bundle`. The manifest is for people and is not read.
  static Parsed<Bundle> from_tar(Bytes bytes);

private:
  ArchiveFiles files_;
};

} // namespace talaria::attest
