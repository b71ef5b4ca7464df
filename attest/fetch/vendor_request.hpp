#pragma once

#include <string>
#include <vector>

#include "attest/evidence/evidence_set.hpp"
#include "attest/fetch/https_client.hpp"

namespace talaria::attest {

/// One question to AMD's KDS (57230) or Intel's PCS (version 4), and what its answer holds.
struct VendorRequest {
  std::string host;
  std::string target;
  std::vector<std::string> items; ///< of EvidenceSet
};

/// What has to be asked for all collateral of this evidence. A VLEK cannot be had from AMD: it is
/// the provider's, and comes with the evidence.
std::vector<VendorRequest> vendor_requests(const EvidenceSet& set);

/// The items in a reply of status 200, as EvidenceSet has them: certificates in DER or PEM, signed
/// bodies as they came, their chains from the fields beside. @throws Error{io} for something else
/// than was asked, a certificate of another chip or TCB among it.
std::map<std::string, std::vector<u8>>
items_in(const HttpsReply& reply, const VendorRequest& request, const EvidenceSet& set);

} // namespace talaria::attest
