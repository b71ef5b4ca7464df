#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <random>
#include <set>

#include "core/integers.hpp"

namespace talaria::tests {

/// A port of 127.0.0.1 that nobody listens on, for programs that cannot be told to take any. Below
/// the ports that the kernel gives to others meanwhile (32768 and up), and drawn anew for each
/// test.
inline u16 free_port() {
  static std::set<u16> drawn; // one that is to be used later is still free now
  std::random_device random;
  for (;;) {
    const auto port = static_cast<u16>(15000 + random() % 15000);
    if (!drawn.insert(port).second) continue;
    const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    const bool free = ::bind(probe, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    ::close(probe);
    if (free) return port;
  }
}

} // namespace talaria::tests
