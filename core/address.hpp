#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/integers.hpp"

namespace talaria {

/// Where something listens: a DNS name, an IPv4 or an IPv6 address (without brackets), and a port.
struct Address {
  std::string host;
  u16 port = 0;

  bool operator==(const Address&) const = default;
};

/// "host:port"; an IPv6 address in brackets, "[::1]:7600".
std::string to_string(const Address& address);

/// The inverse: a name, an IPv4 address, or an IPv6 address in brackets, and a port from 0 (a
/// listener then takes a free one) to 65535. Nothing if `text` is anything else.
std::optional<Address> parse_address(std::string_view text);

/// Whether `host` is an IPv4 or IPv6 address (without brackets) rather than a name.
bool is_ip_address(std::string_view host);

/// A DNS name, an IPv4 address, or an IPv6 address without brackets.
bool is_host_name(std::string_view text);

/// A host that only this machine can reach: 127.0.0.0/8, ::1 and localhost.
bool is_loopback(std::string_view host);

} // namespace talaria
