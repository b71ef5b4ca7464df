#include "gateway/connection.hpp"

#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace talaria::gateway {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kIdle{15};        // between two requests
constexpr seconds kArrival{60};     // of a whole request
constexpr seconds kSilence{10};     // without a byte in either direction while one is expected
constexpr seconds kLinger{2};       // for a client to read the answer to what it is still sending
constexpr milliseconds kSlice{100}; // between two looks at what ends a wait
constexpr std::size_t kMostHeadBytes = 64 << 10;
constexpr std::size_t kMostDiscarded = 64 << 20;
constexpr std::size_t kBuffer = 16 << 10;

short ready_events(socket_t socket, short events, milliseconds patience) {
  pollfd entry{socket, events, 0};
  const int count = ::poll(&entry, 1, static_cast<int>(patience.count()));
  return count > 0 ? entry.revents : short{0};
}

using GetName = int (*)(int, sockaddr*, socklen_t*);

void name_of(GetName get_name, socket_t socket, std::string& ip, int& port) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  char host[NI_MAXHOST];
  char service[NI_MAXSERV];
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (get_name(socket, generic, &length) != 0 ||
      ::getnameinfo(generic, length, host, sizeof host, service, sizeof service,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return;
  ip = host;
  port = std::atoi(service);
}

} // namespace

Connection::Connection(socket_t socket, const std::atomic<bool>& abort)
    : socket_(socket), abort_(abort), deadline_(Clock::now() + kArrival) {
  const int on = 1;
  ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

Connection::~Connection() {
  if (linger_) discard_input();
  ::close(socket_);
}

/// Closing with unread bytes resets the connection, and the client may never see the answer.
void Connection::discard_input() {
  ::shutdown(socket_, SHUT_WR);
  const auto deadline = Clock::now() + kLinger;
  std::string bytes(kBuffer, '\0');
  for (std::size_t total = 0; total < kMostDiscarded && wait_for(POLLIN, deadline);) {
    const ssize_t count = ::recv(socket_, bytes.data(), bytes.size(), 0);
    if (count <= 0) return;
    total += static_cast<std::size_t>(count);
  }
}

bool Connection::wait_for(short events, Clock::time_point deadline) const {
  while (!abort_) {
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now());
    if (ready_events(socket_, events, std::clamp(left, milliseconds(0), kSlice)) != 0) return true;
    if (left <= milliseconds(0)) return false;
  }
  return false;
}

bool Connection::await_request(const std::atomic<bool>& closing) {
  const auto deadline = Clock::now() + kIdle;
  while (next_ == buffer_.size() && ready_events(socket_, POLLIN, kSlice) == 0)
    if (closing || Clock::now() >= deadline) return false;
  in_head_ = true;
  head_bytes_ = 0;
  deadline_ = Clock::now() + kArrival;
  return true;
}

bool Connection::peer_left() const {
  return (ready_events(socket_, POLLRDHUP, milliseconds(0)) & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

bool Connection::is_readable() const {
  return next_ < buffer_.size() || wait_for(POLLIN, std::min(deadline_, Clock::now() + kSilence));
}

bool Connection::is_writable() const {
  return !peer_left() && wait_for(POLLOUT, Clock::now() + kSilence);
}

ssize_t Connection::read(char* out, std::size_t size) {
  if (next_ == buffer_.size()) {
    if (!is_readable()) return -1;
    buffer_.resize(kBuffer);
    next_ = 0;
    const ssize_t count = ::recv(socket_, buffer_.data(), buffer_.size(), 0);
    buffer_.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    if (count <= 0) return count;
  }
  const std::size_t count = std::min(size, buffer_.size() - next_);
  if (in_head_ && (head_bytes_ += count) > kMostHeadBytes) return -1;
  std::copy_n(buffer_.data() + next_, count, out);
  next_ += count;
  return static_cast<ssize_t>(count);
}

ssize_t Connection::write(const char* data, std::size_t size) {
  if (!wait_for(POLLOUT, Clock::now() + kSilence)) return -1;
  return ::send(socket_, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

std::string Connection::remote_address() const {
  std::string ip;
  int port = 0;
  get_remote_ip_and_port(ip, port);
  return ip;
}

void Connection::get_remote_ip_and_port(std::string& ip, int& port) const {
  name_of(::getpeername, socket_, ip, port);
}

void Connection::get_local_ip_and_port(std::string& ip, int& port) const {
  name_of(::getsockname, socket_, ip, port);
}

} // namespace talaria::gateway
