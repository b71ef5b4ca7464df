#pragma once

#include <array>
#include <filesystem>
#include <functional>
#include <vector>

#include "attest/evidence/bytes.hpp"
#include "attest/guest/device_calls.hpp"

namespace talaria::attest {

/// Sends one command to a TPM and gives its response. @throws Error{io} if there is none.
using TpmExchange = std::function<std::vector<u8>(Bytes command)>;

/// The kernel's device (/dev/tpmrm0): one write, one read.
TpmExchange tpm_exchange(std::filesystem::path device);

/// The four commands of a TPM 2.0 that evidence of a vTPM takes (TCG TPM 2.0 Library, part 3:
/// NV_ReadPublic, NV_Read, PCR_Read, Quote), with empty authorisations. What a TPM says is checked
/// for its form alone: whoever verifies the quote decides what it is worth.
class TpmDevice {
public:
  explicit TpmDevice(TpmExchange exchange, Attempts attempts = {});

  /// The whole of an NV index that its owner may read. @throws Error{io} if there is no such index,
  /// or the TPM does not give it, with the number that it said.
  std::vector<u8> read_index(u32 index) const;

  /// SHA-256 registers 0 to 23, 32 bytes each. @throws Error{io}
  std::vector<u8> registers() const;

  struct Quote {
    std::vector<u8> quote;     ///< TPMS_ATTEST
    std::vector<u8> signature; ///< RSASSA-PKCS1-v1_5 with SHA-256
  };
  /// A quote of registers 0 to 23 by a key at a persistent handle, over `qualifying`, 1 to 64
  /// bytes. @throws Error{io}
  Quote quote(u32 key, Bytes qualifying) const;

private:
  std::vector<u8> run(Bytes command, const char* what) const;

  const TpmExchange exchange_;
  const Attempts attempts_;
};

} // namespace talaria::attest
