#pragma once

#include <array>
#include <vector>

#include "attest/evidence/certificate.hpp"

namespace talaria::attest {

/// Intel's extension of a PCK certificate, 1.2.840.113741.1.13.1: which platform, at which level.
struct PckFacts {
  std::array<u8, 16> ppid{}; ///< of the processor package, encrypted
  std::array<u32, 16> svn{}; ///< SGX TCB components, 0 to 255
  u32 pce_svn = 0;           ///< 0 to 65535
  std::array<u8, 16> cpu_svn{};
  std::array<u8, 2> pce_id{};
  std::array<u8, 6> fmspc{}; ///< which TCB info applies
  u32 sgx_type = 0;
  std::vector<u8> platform_instance; ///< 16 bytes; only some platforms
};

/// Reads the extension by object identifier, each once. Refuses with stage leaf, `pck-extension`.
Parsed<PckFacts> read_pck(const Certificate& certificate);

} // namespace talaria::attest
