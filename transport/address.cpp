#include "transport/address.hpp"

#include <fmt/format.h>

#include "core/error.hpp"

namespace talaria::transport {

Address parse_address(std::string_view text) {
  // What is no address may be anything, and an error is one line.
  for (const char c : text)
    if (c < ' ' || c > '~') throw Error(Errc::usage, "an address may hold printable ASCII only");
  const auto address = talaria::parse_address(text);
  if (!address)
    throw Error(Errc::usage, fmt::format("address \"{}\": write host:port or [ipv6]:port, with a "
                                         "port from 0 to 65535",
                                         text));
  return *address;
}

} // namespace talaria::transport
