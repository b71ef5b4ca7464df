#pragma once

#include <netdb.h>

#include <memory>
#include <string>
#include <vector>

#include "transport/address.hpp"
#include "transport/socket.hpp"

namespace talaria::transport {

/// What getaddrinfo() has said: an error of its own, or a list.
struct Resolution {
  int error = 0;
  std::shared_ptr<addrinfo> addresses;
};

/// `flags` as getaddrinfo() takes them.
Resolution resolve(const Address& address, int flags);

/// getaddrinfo() knows no time limit, so names are looked up on a thread that may be left behind.
/// @throws Error{no_worker} if there is no answer in time.
Resolution resolve_until(const Address& address, TimePoint deadline);

/// Every IPv4 address of a name, or every IPv6 one if there are none: a machine that has both is
/// not two machines. As text, sorted, each once.
/// @throws Error{no_worker} if there is no answer in time, or no address.
std::vector<std::string> addresses_of(const std::string& host, TimePoint deadline);

} // namespace talaria::transport
