#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "transport/address.hpp"

namespace talaria::connect {

/// A server that speaks HTTPS.
struct ServerAddress {
  transport::Address address;
  std::string authority;                 ///< what goes into Host: without the port if that is 443
  std::optional<transport::Address> via; ///< an HTTP proxy on the way there
};

/// "https://api.example.org", "https://10.0.0.7:8443", or the same without https://; no path.
/// @throws Error{usage} for another scheme, http above all: evidence is bound to TLS.
ServerAddress parse_server(std::string_view text);

} // namespace talaria::connect
