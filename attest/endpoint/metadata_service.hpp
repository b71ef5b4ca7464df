#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "attest/evidence/bytes.hpp"

namespace talaria::attest {

/// Sends the bytes of a request of HTTP/1.1 to Azure's instance metadata service, at
/// 169.254.169.254 in each of its machines, and gives all that comes back. @throws Error{io} if
/// nothing comes for ten seconds, or not all of it in half a minute.
using MetadataCall = std::function<std::string(const std::string& request)>;
MetadataCall azure_metadata_call();

/// A TDX quote over a TDREPORT of this machine, 1,024 bytes.
/// @throws Error{io} if the service gives none, naming what it said.
std::vector<u8> azure_quote(const MetadataCall& call, Bytes td_report);

/// What AMD's service would say of this machine's chip: leaf (VCEK) and authority, in DER.
/// @throws Error{io} as above.
std::map<std::string, std::vector<u8>> azure_certificates(const MetadataCall& call);

} // namespace talaria::attest
