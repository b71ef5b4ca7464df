#include "attest/evidence/encodings.hpp"

#include <ctime>
#include <string>

#include <openssl/asn1.h>
#include <openssl/evp.h>

namespace talaria::attest {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool is_base64(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
         c == '/';
}

/// `padded`: a multiple of four of the alphabet's characters and padding, nothing else.
std::optional<std::vector<u8>> decode(const std::string& padded) {
  const std::size_t padding = padded.ends_with("==") ? 2 : padded.ends_with('=') ? 1 : 0;
  if (padded.empty() || padded.size() % 4 != 0) return std::nullopt;
  for (std::size_t i = 0; i + padding < padded.size(); ++i)
    if (!is_base64(padded[i])) return std::nullopt;
  std::vector<u8> decoded(padded.size() / 4 * 3);
  const int size = EVP_DecodeBlock(decoded.data(), reinterpret_cast<const u8*>(padded.data()),
                                   static_cast<int>(padded.size()));
  if (size < 0) return std::nullopt;
  decoded.resize(static_cast<std::size_t>(size) - padding);
  return decoded;
}

} // namespace

std::optional<std::vector<u8>> from_hex(std::string_view text) {
  if (text.empty() || text.size() % 2 != 0) return std::nullopt;
  std::vector<u8> bytes;
  bytes.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_digit(text[i]);
    const int low = hex_digit(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes.push_back(static_cast<u8>(high << 4 | low));
  }
  return bytes;
}

std::optional<std::vector<u8>> from_base64(std::string_view text) {
  std::string packed;
  for (const char c : text)
    if (!is_space(c)) packed += c;
  return decode(packed);
}

std::optional<std::vector<u8>> from_base64url(std::string_view text) {
  std::string standard(text);
  for (char& c : standard) {
    if (c == '+' || c == '/' || c == '=') return std::nullopt;
    c = c == '-' ? '+' : c == '_' ? '/' : c;
  }
  standard.append((4 - standard.size() % 4) % 4, '=');
  return decode(standard);
}

std::string to_base64url(Bytes bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0'); // EVP_EncodeBlock() adds a zero byte
  const int size = EVP_EncodeBlock(reinterpret_cast<u8*>(text.data()), bytes.data(),
                                   static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(size));
  while (text.ends_with('=')) text.pop_back();
  for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return text;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

TimePoint time_of(const asn1_string_st* time) {
  std::tm fields{};
  if (ASN1_TIME_to_tm(time, &fields) != 1) return TimePoint{};
  const auto day =
      std::chrono::sys_days(std::chrono::year(fields.tm_year + 1900) /
                            std::chrono::month(static_cast<unsigned>(fields.tm_mon) + 1) /
                            std::chrono::day(static_cast<unsigned>(fields.tm_mday)));
  return day + std::chrono::hours(fields.tm_hour) + std::chrono::minutes(fields.tm_min) +
         Seconds(fields.tm_sec);
}

} // namespace talaria::attest
