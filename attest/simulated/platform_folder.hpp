#pragma once

#include <array>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "attest/simulated/snp_platform.hpp"
#include "attest/simulated/tdx_platform.hpp"

namespace talaria::attest::simulated {

/// Makes an authority in DIR (`talaria attest simulate init DIR`), good for 30 days:
///
///   roots.pem                 what a policy names: simulated: { root: DIR/roots.pem }
///   ark.key ask.key vcek.key  and root.key pck-ca.key pck.key tcb-signer.key, mode 0600
///   ark.der ask.der vcek.der ark.crl, and the same of TDX
///
/// Nothing of it is built in anywhere. @return the files written.
/// @throws Error{usage} if DIR holds an authority already, Error{io} if it cannot be written.
std::vector<std::filesystem::path> create_platform(const std::filesystem::path& folder,
                                                   TimePoint now);

/// A platform that create_platform() made.
/// @throws Error{io} naming the file that cannot be read, Error{config} one that is no key.
class PlatformFolder {
public:
  explicit PlatformFolder(const std::filesystem::path& folder);

  /// Evidence and collateral by name: report, leaf, authority, root, crl.
  std::map<std::string, std::vector<u8>> snp(const ReportSpec& spec) const;
  /// quote, tcb_info, qe_identity, tcb_chain, root_crl, pck_crl. The collateral is as old as the
  /// authority.
  std::map<std::string, std::vector<u8>> tdx(const QuoteSpec& spec) const;

  /// What a processor's keys for programs are derived of: SHA-256 of its private key.
  std::array<u8, 32> chip_secret() const;

  const SnpAuthority& snp_authority() const { return snp_; }
  const TdxAuthority& tdx_authority() const { return tdx_; }

private:
  SnpAuthority snp_;
  TdxAuthority tdx_;
  std::vector<u8> tcb_info_;
  std::vector<u8> qe_identity_;
};

} // namespace talaria::attest::simulated
