#pragma once

#include <optional>

#include "attest/evidence/hcl.hpp"
#include "attest/evidence/snp_verify.hpp"
#include "attest/evidence/tdx_verify.hpp"
#include "attest/evidence/tpm_quote.hpp"

namespace talaria::attest {

/// A quote of the paravisor's vTPM: what makes evidence of boot time fresh.
struct TpmEvidence {
  Bytes quote;     ///< TPMS_ATTEST
  Bytes signature; ///< RSASSA-PKCS1-v1_5 with SHA-256, raw
  Bytes pcrs;      ///< SHA-256 registers 0 to 23, one behind the other
};

struct AzureEvidence {
  Bytes hcl;
  HclReport::Kind kind = HclReport::Kind::snp; ///< what the sender says it is
  SnpEvidence snp;                             ///< kind snp; `report` comes from the HCL blob
  TdxEvidence tdx;                             ///< kind tdx
  std::optional<TpmEvidence> tpm;
};

struct AzureFacts {
  u32 hcl_version = 0;
  std::string user_data;
  std::string vm_id;
  std::optional<bool> secure_boot;
  std::optional<SnpFacts> snp;
  std::optional<TdxFacts> tdx;
  std::optional<TpmQuote> tpm;
  std::vector<u8> pcrs; ///< those that the quote is about; empty without a quote
};

struct AzureJudgement {
  Checks checks;
  AzureFacts facts; ///< hold only if `checks` has no refusal
};

/// Checks the report of the hardware as verify_snp() or verify_tdx() do, then that it vouches for
/// the claims and these for the vTPM's key, then the vTPM's quote.
///
/// Codes besides theirs: `hcl-*` of the parser; in stage binding `hcl-binding`, `hcl-ak`,
/// `tpm-signature`, `tpm-magic`, `tpm-type`, `tpm-length`, `tpm-pcrs`. Whose nonce the quote
/// carries is for check_tpm_nonce().
AzureJudgement verify_azure(const AzureEvidence& evidence, const TrustAnchors& anchors,
                            Clock clock);

/// Records `tpm-nonce` in stage binding: whether the quote carries exactly `nonce`, which must not
/// be empty: an empty one is signed, but fresh for nobody.
void check_tpm_nonce(const TpmQuote& quote, Bytes nonce, Checks& checks);

} // namespace talaria::attest
