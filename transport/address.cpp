#include "transport/address.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <charconv>

#include "core/error.hpp"

namespace talaria::transport {
namespace {

[[noreturn]] void refuse(std::string_view text, const char* why) {
  throw Error(Errc::usage,
              fmt::format("address \"{}\": {}; write host:port or [ipv6]:port", text, why));
}

u16 parse_port(std::string_view text, std::string_view digits) {
  u16 port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size())
    refuse(text, "the port is not a number from 0 to 65535");
  return port;
}

} // namespace

std::string to_string(const Address& address) {
  const bool brackets = address.host.find(':') != std::string::npos;
  return fmt::format(fmt::runtime(brackets ? "[{}]:{}" : "{}:{}"), address.host, address.port);
}

Address parse_address(std::string_view text) {
  for (const char c : text)
    if (c <= ' ' || c > '~') throw Error(Errc::usage, "an address may hold printable ASCII only");
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) refuse(text, "the port is missing");
  std::string_view host = text.substr(0, colon);
  const u16 port = parse_port(text, text.substr(colon + 1));
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
    if (host.find(':') == std::string_view::npos || !is_ip_address(std::string(host)))
      refuse(text, "there is no IPv6 address in the brackets");
  } else if (host.find_first_of(":[]") != std::string_view::npos) {
    refuse(text, "an IPv6 address needs brackets");
  }
  if (host.empty()) refuse(text, "the host is missing");
  return {std::string(host), port};
}

bool is_ip_address(const std::string& host) {
  in6_addr out;
  return ::inet_pton(AF_INET, host.c_str(), &out) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), &out) == 1;
}

} // namespace talaria::transport
