#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "attest/evidence/pcs_json.hpp"
#include "attest/evidence/tdx_quote.hpp"

namespace talaria::attest {

/// What a platform and its TD say about themselves, once their signatures hold.
struct TcbInput {
  std::array<u32, 16> sgx{}; ///< of the PCK certificate
  u32 pce_svn = 0;
  std::array<u8, 16> tee_svn{};
  std::optional<std::array<u8, 16>> tee_svn_2; ///< body type 3
  Bytes mr_signer_seam;                        ///< 48 bytes
  Bytes seam_attributes;                       ///< 8 bytes
};

struct TcbVerdict {
  TcbStatus status = TcbStatus::revoked; ///< of platform, module and quoting enclave together
  std::string platform_status;
  std::string module_status; ///< empty for a module of version 0
  std::string qe_status;
  std::string tcb_date;                ///< of the platform's level
  std::vector<std::string> advisories; ///< of all matched levels, sorted, each once
  /// When the level above the oldest outdated one came out; nothing if none is outdated.
  std::optional<TimePoint> outdated_since;
};

/// The level of `identity` that the quoting enclave reaches.
/// Refuses with stage collateral, `qe-identity`: it is another enclave, or below every level.
Parsed<const IsvLevel*> match_qe(const QeReport& report, const QeIdentity& identity);

/// The level that the TDX module reaches; null for a module of version 0, which has none.
/// Refuses with stage collateral, `tdx-module`.
Parsed<const IsvLevel*> match_module(const TcbInput& input, const TcbInfo& info);

/// Intel's rules (DCAP quote verification library) for platform, module and quoting enclave.
/// Refuses with stage tcb_status: `tcb` if no level is reached, which is worse than any of them,
/// and `tcb-status` for a word that is not known.
Parsed<TcbVerdict> evaluate_tcb(const TcbInput& input, const TcbInfo& info, const IsvLevel& qe,
                                const QeIdentity& identity, const IsvLevel* module);

} // namespace talaria::attest
