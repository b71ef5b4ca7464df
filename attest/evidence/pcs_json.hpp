#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attest/evidence/bytes.hpp"

namespace talaria::attest {

inline constexpr std::size_t kMaxJsonBytes = std::size_t{64} << 10;

/// An answer of Intel's service: {"tcbInfo": {...}, "signature": "..."}.
struct SignedBody {
  std::string text;          ///< the value exactly as it stands in the answer: what is signed
  std::vector<u8> signature; ///< r, s: 64 bytes; shorter or longer ones are kept and never hold
};

/// Cuts the value of `key` out of `body`, byte for byte. The answer must be JSON without any name
/// twice in an object, and have `key` and "signature" and nothing else. Refuses with `json`.
Parsed<SignedBody> split_signed_body(Bytes body, std::string_view key);

/// Words of a TCB status (PCS v4).
enum class TcbStatus {
  up_to_date,
  sw_hardening_needed,
  configuration_needed,
  configuration_and_sw_hardening_needed,
  out_of_date,
  out_of_date_configuration_needed,
  td_relaunch_advised,
  td_relaunch_advised_configuration_needed,
  revoked,
};

const char* to_string(TcbStatus status) noexcept;
std::optional<TcbStatus> parse_tcb_status(std::string_view word);

/// What a level says about whoever reaches it.
struct TcbClaim {
  std::string status; ///< as it stands there; parse_tcb_status() may not know it
  std::string date;   ///< "2024-03-13T00:00:00Z"
  std::vector<std::string> advisories;
};

struct PlatformLevel {
  std::array<u32, 16> sgx{};
  u32 pce_svn = 0;
  std::array<u32, 16> tdx{};
  TcbClaim claim;
};

struct IsvLevel {
  u32 isv_svn = 0;
  TcbClaim claim;
};

struct ModuleIdentity {
  std::string id; ///< "TDX_01", upper case; empty for the module of version 0
  std::vector<u8> mr_signer;
  std::vector<u8> attributes;
  std::vector<u8> attributes_mask;
  std::vector<IsvLevel> levels; ///< highest first
};

/// The fields that tell whether a body is the one that is wanted and in force.
struct PcsHead {
  std::string id; ///< "TDX", "TD_QE"
  u32 version = 0;
  TimePoint issued{};
  TimePoint next_update{};
  u32 evaluation = 0; ///< tcbEvaluationDataNumber
};

struct TcbInfo {
  std::string fmspc;  ///< lower case
  std::string pce_id; ///< lower case
  ModuleIdentity module;
  std::vector<ModuleIdentity> modules;
  std::vector<PlatformLevel> levels; ///< highest first, whatever the order in the text
};

struct QeIdentity {
  std::vector<u8> misc_select;
  std::vector<u8> misc_select_mask;
  std::vector<u8> attributes;
  std::vector<u8> attributes_mask;
  std::vector<u8> mr_signer;
  u32 product = 0;
  std::vector<IsvLevel> levels; ///< highest first
};

// Each refuses with `json` what is not there or of another type. `text` is a SignedBody's.

Parsed<PcsHead> read_pcs_head(std::string_view text);
/// Of id "TDX" and version 3 only: others have other fields.
Parsed<TcbInfo> read_tcb_info(std::string_view text);
/// Of version 2 only.
Parsed<QeIdentity> read_qe_identity(std::string_view text);

} // namespace talaria::attest
