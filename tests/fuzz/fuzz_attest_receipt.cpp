// Any bytes as a receipt, as a record of one, as a host's certificate table and as a web server's
// answer: what is read is written and read again.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "attest/fetch/https_client.hpp"
#include "attest/guest/certificate_table.hpp"
#include "attest/receipts/receipt_record.hpp"
#include "core/error.hpp"

using namespace talaria::attest;

namespace {

void require(bool kept) {
  if (!kept) std::abort();
}

void as_reply(std::string_view text) {
  constexpr std::size_t kMost = 1000;
  try {
    require(parse_https_reply(text, kMost).body.size() <= kMost);
  } catch (const talaria::Error&) {
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes(data, size);
  const std::string_view text = as_text(bytes);
  if (const auto receipt = parse_receipt(text)) {
    const auto again = parse_receipt(to_json(*receipt));
    require(again && to_json(*again) == to_json(*receipt));
  }
  if (const auto record = parse_record(text)) {
    const auto again = parse_record(to_json(*record));
    require(again && to_json(*again) == to_json(*record));
  }
  if (const auto receipt = parse_signed_receipt(text)) require(receipt->jws == text);
  if (const auto salts = parse_salts(text)) require(parse_salts(to_text(*salts)).has_value());
  for (const auto& [item, content] : read_certificate_table(bytes))
    require(!content.empty() && content.size() <= size);
  as_reply(text);
  return 0;
}
