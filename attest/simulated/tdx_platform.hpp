#pragma once

#include <array>
#include <string>
#include <vector>

#include "attest/simulated/certificates.hpp"

namespace talaria::attest::simulated {

/// A TDX platform and Intel's services for it, which exist nowhere. Layouts are written down here
/// once more, apart from the verifier's.
struct TdxAuthority {
  SigningKey root;
  SigningKey pck_authority;
  SigningKey pck;
  SigningKey tcb_signer;
  std::vector<u8> root_certificate;
  std::vector<u8> pck_authority_certificate;
  std::vector<u8> pck_certificate;
  std::vector<u8> tcb_signer_certificate;
  std::vector<u8> root_crl;
  std::vector<u8> pck_crl;
};

/// Fresh keys and certificates, good for 30 days from `now`.
TdxAuthority make_tdx_authority(TimePoint now);

/// The PEM that goes with TCB info and QE identity.
std::string tcb_chain_of(const TdxAuthority& authority);

struct TcbLevelSpec {
  std::array<u8, 16> sgx{};
  u16 pce_svn = 0;
  std::array<u8, 16> tdx{};
  std::string status = "UpToDate";
  std::string date = "2026-01-01T00:00:00Z";
  std::vector<std::string> advisories;
};

struct TcbInfoSpec {
  std::string id = "TDX";
  u32 version = 3;
  std::string fmspc = "51a1b1c1d1e1";
  std::string pce_id = "0000";
  TimePoint issued{};
  TimePoint next_update{};
  u32 evaluation = 18;
  u32 module_svn = 3;
  std::string module_status = "UpToDate";
  std::vector<TcbLevelSpec> levels;
};

/// {"tcbInfo":...,"signature":"..."} as Intel's service would send it.
std::string make_tcb_info(const TcbInfoSpec& spec, const SigningKey& signer);

struct QeIdentitySpec {
  std::string id = "TD_QE";
  TimePoint issued{};
  TimePoint next_update{};
  u32 evaluation = 18;
  std::string mr_signer; ///< hexadecimal; empty: that of the simulated quoting enclave
  u32 svn = 4;
  std::string status = "UpToDate";
};

/// {"enclaveIdentity":...,"signature":"..."}.
std::string make_qe_identity(const QeIdentitySpec& spec, const SigningKey& signer);

struct QuoteSpec {
  u16 version = 4;
  std::array<u8, 16> tee_tcb_svn = {5, 1, 2};
  u64 td_attributes = u64{1} << 28;
  u64 xfam = 0x7;
  std::array<u8, 48> mr_td{};
  std::array<u8, 48> mr_config_id{};
  std::array<std::array<u8, 48>, 4> rtmr{};
  std::array<u8, 64> report_data{};
};

/// A quote by a fresh attestation key that the simulated quoting enclave vouches for.
std::vector<u8> make_quote(const QuoteSpec& spec, const TdxAuthority& authority);

/// SGX TCB components, PCESVN and TDX components of the simulated platform.
TcbLevelSpec platform_level();

} // namespace talaria::attest::simulated
