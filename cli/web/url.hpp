#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "transport/address.hpp"

namespace talaria::cli {

/// Where an HTTP server is.
struct Url {
  bool tls = false;
  transport::Address address;
  std::filesystem::path socket; ///< in the file system, in the place of `address`; empty: none
  std::string authority;        ///< what goes into Host: without the port if that is the default
  std::string path;             ///< without the slash at its end: "/v1"; empty: the root
  std::string text;             ///< for messages: without path
};

/// "http://HOST", "https://HOST:PORT/v1", "HOST:PORT" (http) or "unix:/PATH". Nobody's name and
/// password may stand in it, and no query.
/// @param flag  named by errors
/// @throws Error{usage}
Url parse_url(std::string_view text, std::string_view flag);

} // namespace talaria::cli
