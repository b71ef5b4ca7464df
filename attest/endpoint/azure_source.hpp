#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "attest/collateral/bundle.hpp"
#include "attest/endpoint/evidence_source.hpp"
#include "attest/endpoint/metadata_service.hpp"
#include "attest/guest/tpm_device.hpp"

namespace talaria::attest {

struct AzureOptions {
  TpmExchange tpm;              ///< of the machine's vTPM
  MetadataCall metadata;        ///< for quotes (TDX) and certificates (SNP)
  std::optional<Bundle> bundle; ///< collateral that evidence is completed with
  Attempts attempts{};
};

/// Evidence of a confidential machine of Azure's, whose hardware speaks with the paravisor alone:
/// the report that was made at boot over the vTPM's key, and a quote by that key over what is
/// asked. What runs here stands in the vTPM's registers, and not in MEASUREMENT. It verifies
/// nothing, but that what it got is about what was asked.
class AzureSource final : public EvidenceSource {
public:
  /// @throws Error{config} if the TPM holds no report of a paravisor.
  explicit AzureSource(AzureOptions options);

  /// @throws Error{io} if vTPM or metadata service give nothing now.
  EvidenceSet evidence(const Bound& bound) override;
  bool is_simulated() const noexcept override { return false; }

private:
  void quote_registers(const Bound& bound, EvidenceSet& set) const;
  std::vector<u8> hardware_quote(Bytes td_report);
  void add_certificates(EvidenceSet& set);

  const AzureOptions options_;
  const TpmDevice tpm_;
  std::vector<u8> quoted_report_; ///< the TDREPORT of `quote_`: it changes with a new boot alone
  std::vector<u8> quote_;
  std::map<std::string, std::vector<u8>> certificates_;
};

} // namespace talaria::attest
