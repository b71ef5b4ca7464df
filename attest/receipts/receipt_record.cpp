#include "attest/receipts/receipt_record.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "attest/evidence/encodings.hpp"
#include "attest/evidence/strict_json.hpp"

namespace talaria::attest {
namespace {

using nlohmann::json;

[[noreturn]] void refuse_record(const std::string& what) {
  refuse(Stage::format, "receipt-file", what);
}

std::vector<u8> bytes_in(const json& value, const std::string& name) {
  auto bytes =
      value.is_string() ? from_base64url(value.get_ref<const std::string&>()) : std::nullopt;
  if (!bytes) refuse_record(name + " is not base64url");
  return *bytes;
}

std::array<u8, 32> bytes_32(const json& object, const char* name, const std::string& what) {
  const auto found = object.find(name);
  const auto bytes = found == object.end() ? std::vector<u8>() : bytes_in(*found, what);
  std::array<u8, 32> value{};
  if (bytes.size() != value.size()) refuse_record(what + " does not have 32 bytes");
  std::ranges::copy(bytes, value.begin());
  return value;
}

void take_salts(const json& value, ReceiptRecord& record) {
  if (!value.is_object() || value.size() != 2) refuse_record("salts are not two");
  record.salts.request = bytes_32(value, "request", "the request's salt");
  record.salts.response = bytes_32(value, "response", "the response's salt");
}

void take_key(const json& value, ReceiptRecord& record) {
  if (!value.is_object() || value.size() != 3 || value.value("kty", json()) != "OKP" ||
      value.value("crv", json()) != "Ed25519")
    refuse_record("key is no JWK of Ed25519");
  record.key = bytes_32(value, "x", "the key");
}

void take_part(const std::string& name, const json& value, ReceiptRecord& record) {
  if (name == "v") {
    if (value != 1) refuse_record("its version is not 1");
  } else if (name == "receipt") {
    if (!value.is_string()) refuse_record("receipt is no text");
    record.jws = value.get<std::string>();
  } else if (name == "salts") {
    take_salts(value, record);
  } else if (name == "key") {
    take_key(value, record);
  } else if (name == "request" || name == "response") {
    const auto bytes = bytes_in(value, name);
    (name == "request" ? record.request : record.response) = std::string(as_text(bytes));
  } else {
    refuse_record("it has a field that is not known");
  }
}

ReceiptRecord read_record(std::string_view text) {
  const json object = strict_json(text, kMaxRecordBytes, Stage::format, "receipt-file");
  if (!object.is_object()) refuse_record("it is no JSON object");
  for (const char* name : {"v", "receipt", "salts"})
    if (!object.contains(name)) refuse_record(std::string("it has no ") + name);
  ReceiptRecord record;
  for (const auto& [name, value] : object.items()) take_part(name, value, record);
  return record;
}

} // namespace

std::string to_json(const ReceiptRecord& record) {
  nlohmann::ordered_json object{{"v", 1},
                                {"receipt", record.jws},
                                {"salts",
                                 {{"request", to_base64url(record.salts.request)},
                                  {"response", to_base64url(record.salts.response)}}}};
  if (record.key)
    object["key"] = {{"kty", "OKP"}, {"crv", "Ed25519"}, {"x", to_base64url(*record.key)}};
  if (record.request) object["request"] = to_base64url(as_bytes(*record.request));
  if (record.response) object["response"] = to_base64url(as_bytes(*record.response));
  return object.dump();
}

Parsed<ReceiptRecord> parse_record(std::string_view text) {
  return guarded([text] { return read_record(text); });
}

std::string to_text(const ReceiptSalts& salts) {
  return to_base64url(salts.request) + "." + to_base64url(salts.response);
}

std::optional<ReceiptSalts> parse_salts(std::string_view text) {
  const std::size_t dot = text.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const auto request = from_base64url(text.substr(0, dot));
  const auto response = from_base64url(text.substr(dot + 1));
  ReceiptSalts salts;
  if (!request || !response || request->size() != salts.request.size() ||
      response->size() != salts.response.size())
    return std::nullopt;
  std::ranges::copy(*request, salts.request.begin());
  std::ranges::copy(*response, salts.response.begin());
  return salts;
}

} // namespace talaria::attest
