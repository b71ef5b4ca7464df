#pragma once

#include <array>
#include <map>
#include <vector>

#include "attest/simulated/certificates.hpp"

namespace talaria::attest::simulated {

/// A chip and its authority that exist nowhere: ARK-Simulated, SEV-Genoa, SEV-VCEK. The layouts
/// are written down here once more, apart from the verifier's, so that a mistake in one of them
/// shows.
struct SnpAuthority {
  SigningKey ark;
  SigningKey ask;
  SigningKey vcek;
  std::vector<u8> ark_certificate;
  std::vector<u8> ask_certificate;
  std::vector<u8> vcek_certificate;
  std::vector<u8> crl;
};

/// "SIMULATED-NOT-HW": FAMILY_ID of each simulated report.
inline constexpr std::array<u8, 16> kFamilyId = {'S', 'I', 'M', 'U', 'L', 'A', 'T', 'E',
                                                 'D', '-', 'N', 'O', 'T', '-', 'H', 'W'};

/// Boot loader, TEE, SNP, microcode.
using Svns = std::array<u8, 4>;
inline constexpr Svns kUsualSvns = {10, 0, 27, 27};

/// 64 bytes that no chip has.
std::array<u8, 64> simulated_chip();

/// AMD's extensions for a VCEK of `chip` at `svns`; tests leave some out or change them.
std::vector<Extension> vcek_extensions(const Svns& svns, const std::array<u8, 64>& chip);

/// Fresh keys and certificates, good for 30 days from `now`.
SnpAuthority make_snp_authority(TimePoint now);

struct ReportSpec {
  u32 version = 5;
  u64 policy = 0x30000; ///< SMT allowed, and the bit that is always one
  u32 vmpl = 0;
  u64 platform_info = 0x25;
  u32 key_info = 0; ///< signed by the VCEK
  Svns svns = kUsualSvns;
  std::array<u8, 16> family_id = kFamilyId;
  std::array<u8, 48> measurement{};
  std::array<u8, 32> host_data{};
  std::array<u8, 64> report_data{};
  std::array<u8, 64> chip_id = simulated_chip();
  std::array<u8, 3> cpuid = {0x19, 0x11, 0x01};
  /// Bytes written over the report at these offsets before it is signed.
  std::map<std::size_t, std::vector<u8>> changes;
};

/// 1,184 bytes, signed by `vcek` whatever they say.
std::vector<u8> make_report(const ReportSpec& spec, const SigningKey& vcek);

} // namespace talaria::attest::simulated
