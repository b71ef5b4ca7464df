#pragma once

#include <vector>

#include "attest/evidence/bytes.hpp"

namespace talaria::attest {

/// A TPMS_ATTEST of type TPM_ST_ATTEST_QUOTE (TCG TPM 2.0, part 2, 10.12.8). Big-endian.
struct TpmQuote {
  struct Selection {
    u16 hash = 0;              ///< 11: SHA-256
    std::vector<u8> registers; ///< numbers, ascending
  };

  std::vector<u8> extra_data; ///< the verifier's nonce; up to 64 bytes, and possibly empty
  std::vector<Selection> selection;
  std::vector<u8> digest; ///< of the selected registers
};

/// Refuses with stage binding: `tpm-magic`, `tpm-type`, `tpm-length` (the record does not end
/// where its fields do).
Parsed<TpmQuote> parse_tpm_quote(Bytes bytes);

inline constexpr std::size_t kPcrs = 24;
inline constexpr std::size_t kPcrBytes = 32;

/// Whether `quote` is about exactly the SHA-256 registers 0 to 23 whose values are `pcrs`
/// (24 times 32 bytes).
bool is_about(const TpmQuote& quote, Bytes pcrs);

} // namespace talaria::attest
