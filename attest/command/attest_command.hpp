#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <vector>

namespace talaria::attest {

/// `talaria attest verify`. Strings that are empty were not given.
struct VerifyOptions {
  std::filesystem::path policy;
  std::filesystem::path evidence; ///< an evidence document (binding/document.hpp)
  std::filesystem::path bundle;
  std::string at;          ///< "2026-08-01T00:00:00Z"; empty: now
  std::string report_data; ///< 64 bytes in hexadecimal that the evidence must carry
  std::string nonce;       ///< the same for Azure: extraData of the vTPM's quote
  bool allow_simulated = false;
  bool json = false;
};

/// Judges a document and prints the verdict to standard output.
/// @return 0 accepted, 6 undecided, 7 not genuine, 8 genuine but not allowed, 9 not bound, 10
/// accepted under a policy that allows simulation.
/// @throws Error{usage, config, io} (exit status 2) for flags and files that cannot be used.
int verify_evidence_file(const VerifyOptions& options);

/// `talaria attest policy`: writes a policy that accepts exactly the machine of a document.
struct PolicyOptions {
  std::filesystem::path evidence;
  std::filesystem::path simulated_root; ///< of a simulated platform: its roots.pem
  std::filesystem::path output;         ///< empty: standard output
  std::string name;
  std::string at;
  std::vector<std::string> service; ///< names of the server that the policy is for
  std::filesystem::path ca;         ///< who vouches for them; empty: the system's authorities
};

/// @return 0, or 7 if the evidence is not genuine, with the reason in the log.
int write_policy(const PolicyOptions& options);

/// `talaria attest bundle`: packs the collateral that documents carry.
struct BundleOptions {
  std::vector<std::filesystem::path> evidence;
  std::filesystem::path output;
  bool json = false;
};

int write_bundle(const BundleOptions& options);

/// `talaria attest fetch`: completes the collateral of a document from a folder and from the
/// services of AMD and Intel, which learn which chip is asked about and by which address.
struct FetchCommandOptions {
  std::filesystem::path evidence;
  std::filesystem::path folder; ///< of what was fetched before; empty: the user's cache folder
  std::filesystem::path output; ///< a bundle; empty: the folder alone
  bool offline = false;         ///< nobody is asked
  bool json = false;
};

/// @return 0, or 6 if something cannot be had.
int fetch_collateral(const FetchCommandOptions& options);

/// `talaria attest simulate init DIR`.
int simulate_platform(const std::filesystem::path& folder);

/// `talaria attest simulate report DIR`: signs whatever it is told to.
struct SimulateOptions {
  std::filesystem::path folder;
  std::filesystem::path output; ///< of the evidence document; empty: standard output
  bool tdx = false;             ///< a quote and collateral in place of a report
  std::string measurement;      ///< 48 bytes in hexadecimal: MEASUREMENT or MRTD
  std::string host_data;        ///< 32 bytes: HOST_DATA; or 48: MRCONFIGID
  std::string report_data;      ///< 64 bytes
  std::string policy_bits;      ///< SNP's POLICY, TDX's attributes: a mask like 0xb0000
  std::vector<unsigned> tcb;    ///< SNP: boot loader, TEE, SNP, microcode
  unsigned vmpl = 0;
};

int simulate_evidence(const SimulateOptions& options);

} // namespace talaria::attest
