#pragma once

#include <filesystem>
#include <string>

namespace talaria::connect {

/// `talaria attest verify --connect`.
struct LiveOptions {
  std::string server; ///< HOST:PORT or https://HOST
  std::string via;    ///< HOST:PORT of an HTTP proxy on the way; empty: none
  std::filesystem::path policy;
  std::filesystem::path bundle;
  bool allow_simulated = false;
  bool json = false;
};

/// Connects, asks for evidence over that connection, judges it, prints the verdict to standard
/// output. Sends nothing but a nonce.
/// @return 0 accepted, 6 undecided, 7 not genuine, 8 not allowed, 9 not bound, 10 accepted but
/// simulated.
/// @throws Error{usage, config, io} (exit status 2) for flags and files that cannot be used.
int verify_live(const LiveOptions& options);

} // namespace talaria::connect
