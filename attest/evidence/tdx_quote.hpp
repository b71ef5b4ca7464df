#pragma once

#include <array>
#include <vector>

#include "attest/evidence/bytes.hpp"

namespace talaria::attest {

/// No service pads beyond that; anything larger is refused unread.
inline constexpr std::size_t kMaxQuoteBytes = std::size_t{16} << 10;

/// The report of the quoting enclave (an SGX report body).
struct QeReport {
  std::array<u8, 16> cpu_svn{};
  std::array<u8, 4> misc_select{};
  std::array<u8, 16> attributes{};
  std::array<u8, 32> mr_enclave{};
  std::array<u8, 32> mr_signer{};
  u16 product = 0;
  u16 svn = 0;
  std::array<u8, 64> report_data{};
};

/// A TDX quote of version 4 or 5 (Intel, TDX DCAP quote library API). Nothing in it is to be
/// believed before its signatures and chain have been checked.
struct TdxQuote {
  u16 version = 0;
  u16 body_type = 2; ///< 2: TDX 1.0, 584 bytes; 3: TDX 1.5, 648 bytes
  u16 attestation_key_type = 0;
  std::array<u8, 20> user_data{};

  std::array<u8, 16> tee_tcb_svn{}; ///< [0] module SVN, [1] module major version
  std::array<u8, 48> mr_seam{};
  std::array<u8, 48> mr_signer_seam{};
  std::array<u8, 8> seam_attributes{};
  u64 td_attributes = 0; ///< see td_attribute
  u64 xfam = 0;
  std::array<u8, 48> mr_td{};
  std::array<u8, 48> mr_config_id{};
  std::array<u8, 48> mr_owner{};
  std::array<u8, 48> mr_owner_config{};
  std::array<std::array<u8, 48>, 4> rtmr{}; ///< SHA-384 chains
  std::array<u8, 64> report_data{};
  std::array<u8, 16> tee_tcb_svn_2{}; ///< type 3: of the module running now
  std::array<u8, 48> mr_service_td{}; ///< type 3

  std::vector<u8> signed_bytes; ///< header and body, with type and size in version 5
  std::array<u8, 64> signature{};
  std::array<u8, 64> attestation_key{}; ///< x, y
  std::array<u8, 384> qe_report_bytes{};
  QeReport qe_report;
  std::array<u8, 64> qe_signature{};
  std::vector<u8> qe_authentication;
  std::vector<u8> chain; ///< PEM: PCK certificate, its authority, root
};

namespace td_attribute {
inline constexpr u64 kUnderDebug = 0xFF; ///< bit 0 is DEBUG; the byte means "can be looked into"
inline constexpr u64 kSeptVeDisable = u64{1} << 28;
inline constexpr u64 kMigratable = u64{1} << 29;
inline constexpr u64 kPks = u64{1} << 30;
inline constexpr u64 kKeyLocker = u64{1} << 31;
inline constexpr u64 kPerfmon = u64{1} << 63;
inline constexpr u64 kKnown =
    kUnderDebug | kSeptVeDisable | kMigratable | kPks | kKeyLocker | kPerfmon;
} // namespace td_attribute

/// Refuses with stage format: `length`, `version`, `attestation-key-type`, `tee-type`, `qe-vendor`,
/// `reserved`, `body-type`, `certification-data-type`, and `trailing-bytes` for anything but zeros
/// behind the quote (services pad).
Parsed<TdxQuote> parse_tdx_quote(Bytes bytes);

} // namespace talaria::attest
