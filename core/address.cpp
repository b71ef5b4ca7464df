#include "core/address.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace talaria {

namespace {

constexpr std::size_t kMaxHostBytes = 253;

bool is_name_character(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
         c == '_' || c == '.';
}

bool is_dns_text(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_name_character);
}

bool is_ip(int family, std::string_view text) {
  in6_addr ignored; // large enough for both families
  return inet_pton(family, std::string(text).c_str(), &ignored) == 1;
}

/// A DNS name or an IPv4 address.
bool is_plain_host(std::string_view text) {
  if (text.size() > kMaxHostBytes || !is_dns_text(text)) return false;
  const bool looks_like_ip = text.find_first_not_of("0123456789.") == std::string_view::npos;
  return looks_like_ip ? is_ip(AF_INET, text) : text.front() != '-' && text.front() != '.';
}

std::optional<u16> port_of(std::string_view digits) {
  u16 port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return port;
}

} // namespace

std::string to_string(const Address& address) {
  const bool brackets = address.host.find(':') != std::string::npos;
  return fmt::format(fmt::runtime(brackets ? "[{}]:{}" : "{}:{}"), address.host, address.port);
}

std::optional<Address> parse_address(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto port = port_of(text.substr(colon + 1));
  if (!port) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const bool in_brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (in_brackets) host = host.substr(1, host.size() - 2);
  if (!(in_brackets ? is_ip(AF_INET6, host) : is_plain_host(host))) return std::nullopt;
  return Address{std::string(host), *port};
}

bool is_ip_address(std::string_view host) {
  return is_ip(AF_INET, host) || is_ip(AF_INET6, host);
}

bool is_host_name(std::string_view text) {
  return is_plain_host(text) || is_ip(AF_INET6, text);
}

bool is_loopback(std::string_view host) {
  return host == "localhost" || host == "::1" || (host.starts_with("127.") && is_ip(AF_INET, host));
}

} // namespace talaria
