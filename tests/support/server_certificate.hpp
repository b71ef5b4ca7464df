#pragma once

#include <chrono>
#include <filesystem>
#include <fstream>

#include "transport/x509.hpp"

namespace talaria::tests {

/// Writes api.pem and api.key into `folder`: a server's certificate for 127.0.0.1 that only itself
/// vouches for.
inline void make_server_certificate(const std::filesystem::path& folder) {
  using namespace std::chrono_literals;
  const auto now = std::chrono::system_clock::now();
  const auto made = transport::Credential::create(
      {"127.0.0.1", transport::CertificateUse::server, now - 1h, now + 24h}, nullptr);
  const auto key = made.key_pem();
  std::ofstream(folder / "api.pem") << made.certificate_pem();
  std::ofstream(folder / "api.key").write(key.data(), static_cast<std::streamsize>(key.size()));
  std::filesystem::permissions(folder / "api.key", std::filesystem::perms(0600));
}

} // namespace talaria::tests
