#include "attest/binding/nonce_request.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "attest/evidence/encodings.hpp"
#include "attest/evidence/strict_json.hpp"

namespace talaria::attest {
namespace {

constexpr std::size_t kMaxRequestBytes = 1024;

Nonce read_nonce(std::string_view text) {
  const auto object = strict_json(text, kMaxRequestBytes, Stage::format, "nonce");
  if (!object.is_object() || object.size() != 1 || !object.contains("nonce") ||
      !object["nonce"].is_string())
    refuse(Stage::format, "nonce", "expected an object with a nonce and nothing else");
  const auto bytes = from_base64url(object["nonce"].get<std::string>());
  Nonce nonce{};
  if (!bytes || bytes->size() != nonce.size())
    refuse(Stage::format, "nonce", "nonce is not 32 bytes of base64url");
  std::ranges::copy(*bytes, nonce.begin());
  if (std::ranges::all_of(nonce, [](u8 byte) { return byte == 0; }))
    refuse(Stage::format, "nonce", "nonce is zero: take 32 random bytes");
  return nonce;
}

} // namespace

std::string nonce_request(const Nonce& nonce) {
  return nlohmann::json{{"nonce", to_base64url(nonce)}}.dump();
}

Parsed<Nonce> parse_nonce_request(std::string_view text) {
  return guarded([text] { return read_nonce(text); });
}

} // namespace talaria::attest
