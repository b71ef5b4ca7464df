#pragma once

#include <map>
#include <string>
#include <vector>

#include "attest/evidence/bytes.hpp"

namespace talaria::attest {

/// The certificates that a host gives beside an SNP report (AMD 56421, section 4.1.8.1), by the
/// names of EvidenceSet: leaf, authority, root, crl. The table is the host's: entries that lie
/// outside of it, and those of unknown names, are left out. Whoever uses the rest verifies it.
std::map<std::string, std::vector<u8>> read_certificate_table(Bytes table);

} // namespace talaria::attest
