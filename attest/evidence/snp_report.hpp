#pragma once

#include <array>

#include "attest/evidence/bytes.hpp"
#include "attest/evidence/roots.hpp"

namespace talaria::attest {

inline constexpr std::size_t kSnpReportBytes = 1184;
inline constexpr std::size_t kSnpSignedBytes = 672;

/// Which key signed: of the chip and its TCB, or of the provider.
enum class SnpSigner { vcek, vlek };

/// "VCEK", "VLEK".
const char* to_string(SnpSigner signer) noexcept;

/// SVNs of what runs below the guest. Compared component by component, never as one number.
struct SnpTcb {
  u8 fmc = 0; ///< Turin alone
  u8 boot_loader = 0;
  u8 tee = 0;
  u8 snp = 0;
  u8 microcode = 0;

  bool operator==(const SnpTcb&) const = default;
};

using TcbVersion = std::array<u8, 8>; ///< as it stands in the report, first byte first

/// The meaning of the eight bytes, which depends on the product.
SnpTcb decode_tcb(const TcbVersion& raw, SnpProduct product) noexcept;
/// Whether the bytes without a meaning are zero.
bool is_plain_tcb(const TcbVersion& raw, SnpProduct product) noexcept;

struct FirmwareVersion {
  u8 build = 0;
  u8 minor = 0;
  u8 major = 0;
};

struct CpuId {
  u8 family = 0;
  u8 model = 0;
  u8 stepping = 0;
};

/// ATTESTATION_REPORT (AMD 56860, SNP_GET_REPORT), versions 2 to 5. Nothing in it is to be believed
/// before its signature and chain have been checked.
struct SnpReport {
  u32 version = 0;
  u32 guest_svn = 0;
  u64 policy = 0; ///< what the guest's owner allowed; see snp_policy
  std::array<u8, 16> family_id{};
  std::array<u8, 16> image_id{};
  u32 vmpl = 0; ///< 0 to 3
  u32 signature_algorithm = 0;
  TcbVersion current{};
  u64 platform_info = 0; ///< see snp_platform; unknown bits are possible
  u32 key_info = 0;
  SnpSigner signer = SnpSigner::vcek;
  std::array<u8, 64> report_data{};
  std::array<u8, 48> measurement{}; ///< SHA-384 launch digest
  std::array<u8, 32> host_data{};
  std::array<u8, 48> id_key_digest{};
  std::array<u8, 48> author_key_digest{};
  std::array<u8, 32> report_id{};
  std::array<u8, 32> report_id_ma{};
  TcbVersion reported{};             ///< the certificate is the one of this TCB
  CpuId cpuid;                       ///< zero in version 2
  std::optional<SnpProduct> product; ///< by CPUID; nothing in version 2
  std::array<u8, 64> chip_id{};
  TcbVersion committed{};
  FirmwareVersion current_firmware;
  FirmwareVersion committed_firmware;
  TcbVersion launch{};
  u64 launch_mitigations = 0;  ///< version 5; zero before
  u64 current_mitigations = 0; ///< version 5; zero before
  std::array<u8, kSnpSignedBytes> signed_bytes{};
  std::array<u8, 48> r{}; ///< big-endian
  std::array<u8, 48> s{};
};

namespace snp_policy {
inline constexpr u64 kSmt = u64{1} << 16;
inline constexpr u64 kReservedOne = u64{1} << 17;
inline constexpr u64 kMigrationAgent = u64{1} << 18;
inline constexpr u64 kDebug = u64{1} << 19;
inline constexpr u64 kSingleSocket = u64{1} << 20;
inline constexpr u64 kCxl = u64{1} << 21;
inline constexpr u64 kAesXts = u64{1} << 22;
inline constexpr u64 kRaplOff = u64{1} << 23;
inline constexpr u64 kCiphertextHiding = u64{1} << 24;
inline constexpr u64 kPageSwapOff = u64{1} << 25;
inline constexpr unsigned kFirstReserved = 26;
} // namespace snp_policy

/// What bit `bit` of PLATFORM_INFO is called in policies ("smt", "alias_check"); null if unknown.
const char* platform_bit_name(unsigned bit) noexcept;
/// The same for bits 16 to 25 of POLICY.
const char* policy_bit_name(unsigned bit) noexcept;

/// Reads exactly 1,184 bytes. Refuses with stage format: `length`, `version`,
/// `signature-algorithm`, `signer`, `product` (versions 3 to 5: a family and model that are not
/// known), and `reserved` for each bit that has no meaning in the report's version, those behind
/// the signature included.
Parsed<SnpReport> parse_snp_report(Bytes bytes);

} // namespace talaria::attest
