#include "attest/evidence/tpm_quote.hpp"

#include <algorithm>
#include <numeric>

#include "core/digest.hpp"

namespace talaria::attest {
namespace {

constexpr u16 kQuoteType = 0x8018;
constexpr u16 kSha256 = 11;
constexpr std::size_t kClockAndFirmware = 17 + 8;
constexpr u32 kMaxSelections = 16;
constexpr std::size_t kMaxExtra = 64;

/// Takes fields off the front; what is not there is refused as `tpm-length`.
class Cursor {
public:
  explicit Cursor(Bytes rest) : rest_(rest) {}

  Bytes take(std::size_t count) {
    if (count > rest_.size())
      refuse(Stage::binding, "tpm-length", "the TPM quote ends within a field");
    const Bytes taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }
  u32 number(std::size_t bytes) {
    u32 value = 0;
    for (const u8 byte : take(bytes)) value = value << 8 | byte;
    return value;
  }
  Bytes sized() { return take(number(2)); }
  bool is_empty() const { return rest_.empty(); }

private:
  Bytes rest_;
};

TpmQuote::Selection take_selection(Cursor& cursor) {
  TpmQuote::Selection selection;
  selection.hash = static_cast<u16>(cursor.number(2));
  const Bytes bits = cursor.take(cursor.number(1));
  for (std::size_t i = 0; i < 8 * std::min<std::size_t>(bits.size(), 32); ++i)
    if (bits[i / 8] >> (i % 8) & 1) selection.registers.push_back(static_cast<u8>(i));
  return selection;
}

TpmQuote read_attest(Bytes bytes) {
  Cursor cursor(bytes);
  if (as_text(cursor.take(4)) != "\xFFTCG")
    refuse(Stage::binding, "tpm-magic", "not made by a TPM (magic)");
  if (cursor.number(2) != kQuoteType)
    refuse(Stage::binding, "tpm-type", "signed by the TPM, but no quote");
  TpmQuote quote;
  cursor.sized(); // qualified name of the signer
  quote.extra_data = to_vector(cursor.sized());
  if (quote.extra_data.size() > kMaxExtra)
    refuse(Stage::binding, "tpm-length", "more than 64 bytes of extra data");
  cursor.take(kClockAndFirmware);
  const u32 selections = cursor.number(4);
  if (selections > kMaxSelections)
    refuse(Stage::binding, "tpm-length", "more than 16 selections of registers");
  for (u32 i = 0; i < selections; ++i) quote.selection.push_back(take_selection(cursor));
  quote.digest = to_vector(cursor.sized());
  if (!cursor.is_empty()) refuse(Stage::binding, "tpm-length", "bytes follow the TPM quote");
  return quote;
}

} // namespace

Parsed<TpmQuote> parse_tpm_quote(Bytes bytes) {
  return guarded([bytes] { return read_attest(bytes); });
}

bool is_about(const TpmQuote& quote, Bytes pcrs) {
  if (pcrs.size() != kPcrs * kPcrBytes || quote.selection.size() != 1) return false;
  std::vector<u8> all(kPcrs);
  std::iota(all.begin(), all.end(), u8{0});
  return quote.selection[0].hash == kSha256 && quote.selection[0].registers == all &&
         std::ranges::equal(quote.digest, sha256(pcrs));
}

} // namespace talaria::attest
