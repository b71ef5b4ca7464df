#pragma once

#include <string>
#include <string_view>

#include "core/integers.hpp"

namespace talaria::transport {

/// Where a worker listens: a DNS name, an IPv4 or an IPv6 address (without brackets), and a port.
struct Address {
  std::string host;
  u16 port = 0;

  bool operator==(const Address&) const = default;
};

/// "host:port"; an IPv6 address in brackets, "[::1]:7600".
std::string to_string(const Address& address);

/// The inverse. Port 0 is allowed: a listener then takes a free one.
/// @throws Error{usage} if a part is missing, the port is not in 0..65535, or brackets lack.
Address parse_address(std::string_view text);

/// Whether `host` is an IPv4 or IPv6 address rather than a name.
bool is_ip_address(const std::string& host);

} // namespace talaria::transport
