#include "connect/server_address.hpp"

#include <fmt/format.h>

#include "core/error.hpp"

namespace talaria::connect {

namespace {

constexpr u16 kHttpsPort = 443;

bool has_port(std::string_view host) {
  const std::size_t bracket = host.rfind(']');
  return host.find(':', bracket == std::string_view::npos ? 0 : bracket) != std::string_view::npos;
}

} // namespace

ServerAddress parse_server(std::string_view text) {
  constexpr std::string_view kScheme = "https://";
  std::string_view host = text;
  if (host.starts_with(kScheme))
    host.remove_prefix(kScheme.size());
  else if (host.find("://") != std::string_view::npos)
    throw Error(Errc::usage, fmt::format("{}: only https is possible: evidence is bound to a TLS "
                                         "connection",
                                         text));
  if (host.ends_with('/')) host.remove_suffix(1);
  if (host.find_first_of("/?#@ ") != std::string_view::npos)
    throw Error(Errc::usage,
                fmt::format("{}: expected https://HOST or https://HOST:PORT, and no path", text));
  ServerAddress server;
  server.address = transport::parse_address(
      has_port(host) ? std::string(host) : fmt::format("{}:{}", host, kHttpsPort));
  const std::string full = to_string(server.address);
  server.authority = server.address.port == kHttpsPort ? full.substr(0, full.rfind(':')) : full;
  return server;
}

} // namespace talaria::connect
