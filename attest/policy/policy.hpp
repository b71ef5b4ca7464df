#pragma once

#include <array>
#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "attest/evidence/evidence_set.hpp"
#include "attest/evidence/pcs_json.hpp"
#include "attest/evidence/snp_report.hpp"
#include "attest/evidence/tdx_quote.hpp"

namespace talaria::attest {

/// Least SVNs, component by component. Nothing: no floor.
struct SnpFloor {
  std::optional<u8> fmc;
  std::optional<u8> boot_loader;
  std::optional<u8> tee;
  std::optional<u8> snp;
  std::optional<u8> microcode;
};

template <std::size_t N>
using OneOf = std::vector<std::array<u8, N>>; ///< empty: any

/// One entry must match as a whole; an empty list matches any value.
struct SnpImage {
  OneOf<48> measurement;
  OneOf<32> host_data;
  OneOf<16> family_id;
  OneOf<16> image_id;
  OneOf<48> id_key;
  OneOf<48> author_key;
  u32 guest_svn = 0; ///< at least
};

struct TdxImage {
  OneOf<48> mr_td;
  std::map<u8, OneOf<48>> rtmr; ///< 0 to 3
  OneOf<48> mr_config_id;
};

struct AzureImage {
  OneOf<48> id_key;             ///< SNP only
  std::map<u8, OneOf<32>> pcrs; ///< 0 to 23
};

struct Image {
  std::string name;
  std::optional<SnpImage> snp;
  std::optional<TdxImage> tdx;
  std::optional<AzureImage> azure;
};

struct SnpPolicy {
  /// Milan is not among them: its root seeds can be read by software (arXiv 2605.12990).
  std::vector<SnpProduct> products{SnpProduct::genoa, SnpProduct::turin};
  std::vector<SnpSigner> signers{SnpSigner::vcek};
  std::vector<std::string> csp; ///< of a VLEK, one of these
  bool any_csp = false;         ///< never from a file: a VLEK needs its provider named
  std::map<SnpProduct, SnpFloor> floors;
  bool check_launch = true; ///< floors hold for LAUNCH_TCB too; the other three cannot be left out
  bool debug = false;
  bool migration_agent = false;
  bool smt = true;
  u32 max_vmpl = 0;
  u64 platform_require = 0; ///< masks over PLATFORM_INFO
  u64 platform_forbid = 0;
  bool refuse_unknown_platform_bits = false;
  u64 mitigations = 0; ///< LAUNCH_MIT_VECTOR has at least these bits
  OneOf<64> chips;     ///< empty: any
  u32 least_version = 3;
};

struct TdxPolicy {
  std::vector<TcbStatus> statuses{TcbStatus::up_to_date};
  bool any_status = false; ///< never from a file; revoked is refused all the same
  std::vector<std::string> advisories_allowed;
  bool any_advisory = false; ///< never from a file
  std::chrono::seconds out_of_date_for{0};
  u32 least_evaluation = 18;
  bool debug = false;
  u64 attributes_require = td_attribute::kSeptVeDisable;
  u64 attributes_allow = td_attribute::kSeptVeDisable;
  std::optional<u64> xfam_allow;
  bool service_td = false;
  OneOf<48> mr_seam;   ///< empty: any
  OneOf<16> platforms; ///< PIIDs; empty: any
};

struct ServicePolicy {
  std::vector<std::string> names;
  std::filesystem::path ca;
  OneOf<32> pins; ///< SHA-256 of SubjectPublicKeyInfo
  bool any_name = false;
};

struct BindingPolicy {
  enum class Kind { session, key } kind = Kind::session; ///< `key` allows relays, and says so
  std::chrono::seconds max_age{3600};
};

struct CollateralPolicy {
  bool crl_required = true;
  std::chrono::seconds skew{300};
};

/// What the enclave says about itself; looked at only after its measurement has passed.
struct StatementPolicy {
  std::vector<std::string> models;
  std::vector<std::string> schemes;
  std::vector<std::string> parameters;
  std::string integrity;
};

/// Whom a verifier's owner is willing to talk to (docs/attestation.md). Defaults are strict.
struct Policy {
  std::string name;
  std::string sha256; ///< of the file, hexadecimal; empty for one that is no file
  std::vector<EvidenceKind> evidence;
  bool simulated = false; ///< then nothing else, and images are those of the simulation
  std::filesystem::path simulated_root;
  std::vector<Image> images;
  bool any_image = false; ///< then no verdict is better than "not allowed"
  ServicePolicy service;
  BindingPolicy binding;
  SnpPolicy snp;
  TdxPolicy tdx;
  CollateralPolicy collateral;
  StatementPolicy statement;
};

} // namespace talaria::attest
