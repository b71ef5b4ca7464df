#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "attest/evidence/evidence_set.hpp"
#include "attest/evidence/snp_report.hpp"

namespace talaria::attest {

/// Which of AMD's certificates and lists a report needs.
struct AmdKey {
  SnpProduct product = SnpProduct::milan;
  SnpSigner signer = SnpSigner::vcek;
  std::vector<u8> chip; ///< 8 bytes for Turin, 64 before; with a VLEK zeros
  SnpTcb tcb;           ///< reported
};

/// Which of Intel's statements and lists a quote needs.
struct IntelKey {
  std::array<u8, 6> fmspc{};
  bool is_platform = true; ///< the PCK certificate is of the Platform CA, else of the Processor CA
};

/// Read from the evidence proper, which need not have been verified: a wrong key finds collateral
/// that does not fit. Nothing for evidence of the other vendor, or that cannot be read.
std::optional<AmdKey> amd_key(const EvidenceSet& set);
std::optional<IntelKey> intel_key(const EvidenceSet& set);

/// Where each item of this evidence's collateral lies in a bundle or folder (Bundle). Every part of
/// a name is a fixed word or the hexadecimal of a parsed field.
std::map<std::string, std::string> collateral_places(const EvidenceSet& set);

/// From when and until when a piece of collateral is in force, as its bytes say.
struct Validity {
  TimePoint begin{};
  TimePoint end{};
};
/// @param place  tells what it is. Nothing if the bytes are no such thing.
std::optional<Validity> validity_of(const std::string& place, Bytes content);

} // namespace talaria::attest
