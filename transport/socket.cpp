#include "transport/socket.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "core/error.hpp"
#include "transport/resolve.hpp"

namespace talaria::transport {
namespace {

std::string errno_text(int error) {
  return std::generic_category().message(error);
}

void set_no_delay(int fd) {
  const int one = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

void set_blocking(int fd) {
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK);
}

/// 0, or the errno that says why there is no connection.
int connect_one(const Socket& socket, const addrinfo& target, TimePoint deadline) {
  if (::connect(socket.get(), target.ai_addr, target.ai_addrlen) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  pollfd waiting{socket.get(), POLLOUT, 0};
  int ready = 0;
  do {
    ready = ::poll(&waiting, 1, milliseconds_until(deadline));
  } while (ready < 0 && errno == EINTR);
  if (ready == 0) return ETIMEDOUT;
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

/// Empty for a socket in the file system.
Address address_of(const sockaddr_storage& from, socklen_t size) {
  if (from.ss_family == AF_UNIX) return {};
  char host[NI_MAXHOST] = {};
  char port[NI_MAXSERV] = {};
  const int error = ::getnameinfo(reinterpret_cast<const sockaddr*>(&from), size, host, sizeof host,
                                  port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
  if (error != 0) return {"unknown", 0};
  return {host, static_cast<u16>(std::stoul(port))};
}

/// 0, or the errno that says why this address cannot be listened on.
int listen_one(const Socket& socket, const addrinfo& target) {
  const int one = 1;
  const int zero = 0;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (target.ai_family == AF_INET6)
    ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
  if (::bind(socket.get(), target.ai_addr, target.ai_addrlen) != 0) return errno;
  return ::listen(socket.get(), SOMAXCONN) == 0 ? 0 : errno;
}

} // namespace

int milliseconds_until(TimePoint deadline) noexcept {
  const auto left = std::chrono::ceil<Milliseconds>(deadline - SteadyClock::now()).count();
  return static_cast<int>(std::clamp<i64>(left, 0, 1 << 30));
}

Socket connect_to(const Address& address, TimePoint deadline) {
  const Resolution found = resolve_until(address, deadline);
  if (found.error != 0)
    throw Error(Errc::no_worker,
                fmt::format("{}: {}", to_string(address), ::gai_strerror(found.error)));
  std::ptrdiff_t left = 0;
  for (const addrinfo* a = found.addresses.get(); a != nullptr; a = a->ai_next) ++left;
  int error = EADDRNOTAVAIL;
  for (const addrinfo* a = found.addresses.get(); a != nullptr; a = a->ai_next, --left) {
    Socket socket(::socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (socket.get() < 0) {
      error = errno;
      continue;
    }
    const TimePoint now =
        SteadyClock::now(); // an address that swallows packets leaves time for the rest
    error = connect_one(socket, *a, now + (deadline - now) / left);
    if (error != 0) continue;
    set_blocking(socket.get());
    set_no_delay(socket.get());
    return socket;
  }
  throw Error(Errc::no_worker, fmt::format("{}: {}", to_string(address), errno_text(error)));
}

Socket listen_on(const Address& address) {
  const Resolution found = resolve(address, AI_PASSIVE);
  if (found.error != 0)
    throw Error(Errc::io, fmt::format("cannot listen on {}: {}", to_string(address),
                                      ::gai_strerror(found.error)));
  int error = EADDRNOTAVAIL;
  for (const addrinfo* a = found.addresses.get(); a != nullptr; a = a->ai_next) {
    Socket socket(::socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    error = socket.get() < 0 ? errno : listen_one(socket, *a);
    if (error == 0) return socket;
  }
  throw Error(Errc::io,
              fmt::format("cannot listen on {}: {}", to_string(address), errno_text(error)));
}

u16 local_port(const Socket& socket) {
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&bound), &size);
  return address_of(bound, size).port;
}

std::optional<Accepted> accept_from(const Socket& listener, bool& out_of_descriptors) {
  sockaddr_storage from{};
  socklen_t size = sizeof from;
  const int fd = ::accept4(listener.get(), reinterpret_cast<sockaddr*>(&from), &size, SOCK_CLOEXEC);
  out_of_descriptors =
      fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM);
  if (fd < 0) return std::nullopt;
  set_no_delay(fd);
  return Accepted{Socket(fd), address_of(from, size)};
}

void set_user_timeout(const Socket& socket, Milliseconds limit) noexcept {
  const unsigned value = static_cast<unsigned>(std::clamp<i64>(limit.count(), 1, 1 << 30));
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, &value, sizeof value);
}

} // namespace talaria::transport
