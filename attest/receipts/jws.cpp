#include "attest/receipts/jws.hpp"

#include "attest/evidence/strict_json.hpp"
#include "attest/receipts/claim_fields.hpp"

namespace talaria::attest {
namespace {

constexpr std::string_view kType = "talaria-receipt+jwt";
constexpr std::string_view kAlgorithm = "EdDSA";
constexpr std::size_t kStep = 256;
constexpr std::size_t kMaxHeaderBytes = 512;

std::string header_of(const ReceiptPublicKey& key) {
  return nlohmann::ordered_json{{"alg", kAlgorithm}, {"typ", kType}, {"kid", thumbprint_of(key)}}
      .dump();
}

/// Exactly one spelling: bits beyond the last byte are zero.
std::vector<u8> part_of(std::string_view text, const char* what) {
  auto bytes = from_base64url(text);
  if (!bytes || to_base64url(*bytes) != text)
    refuse_receipt(std::string(what) + " is not base64url");
  return *bytes;
}

std::string read_key_id(Bytes header) {
  const auto object = strict_json(as_text(header), kMaxHeaderBytes, Stage::format, "receipt");
  ClaimFields fields(object, "the head of the receipt");
  if (fields.text("alg") != kAlgorithm)
    refuse_receipt("it is not signed by EdDSA, and nothing else is taken");
  if (fields.text("typ") != kType) refuse_receipt("it is something else than a receipt");
  std::string key_id = fields.text("kid");
  fields.finish();
  return key_id;
}

SignedReceipt read_signed(std::string_view jws) {
  const std::size_t first = jws.find('.');
  const std::size_t second = first == std::string_view::npos ? first : jws.find('.', first + 1);
  if (second == std::string_view::npos || jws.find('.', second + 1) != std::string_view::npos)
    refuse_receipt("it does not have three parts");
  if (second > 2 * kMaxClaimsBytes) refuse_receipt("it is longer than a receipt can be");
  SignedReceipt read;
  read.key_id = read_key_id(part_of(jws.substr(0, first), "the head of the receipt"));
  const auto claims = part_of(jws.substr(first + 1, second - first - 1), "the receipt");
  auto receipt = parse_receipt(as_text(claims));
  if (!receipt) throw Refused{receipt.refusal()};
  read.receipt = std::move(*receipt);
  const auto signature = part_of(jws.substr(second + 1), "the signature");
  if (signature.size() != read.signature.size())
    refuse_receipt("the signature does not have 64 bytes");
  std::ranges::copy(signature, read.signature.begin());
  read.jws = jws;
  read.end = second;
  return read;
}

} // namespace

std::string sign_receipt(const Receipt& receipt, const ReceiptKey& key) {
  std::string claims = to_json(receipt);
  claims.resize((claims.size() + kStep - 1) / kStep * kStep, ' ');
  std::string jws =
      to_base64url(as_bytes(header_of(key.public_key()))) + "." + to_base64url(as_bytes(claims));
  const auto signature = key.sign(as_bytes(jws));
  return jws + "." + to_base64url(signature);
}

Parsed<SignedReceipt> parse_signed_receipt(std::string_view jws) {
  return guarded([jws] { return read_signed(jws); });
}

} // namespace talaria::attest
