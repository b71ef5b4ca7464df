#include "gateway/httpd.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include "core/error.hpp"
#include "telemetry/trace_id.hpp"

namespace talaria::gateway {

namespace {

constexpr std::chrono::milliseconds kSlice{100};
constexpr int kBacklog = 512; // httplib's 5 makes clients that come together wait for a second

// httplib's handlers are told of request and response only.
thread_local Exchange* current_exchange = nullptr;

/// httplib's own options include SO_REUSEPORT, with which two servers share a port unnoticed.
void set_listener_options(socket_t socket) {
  const int on = 1;
  ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
}

class Count {
public:
  explicit Count(std::atomic<std::size_t>& counter) : counter_(counter) { ++counter_; }
  ~Count() { --counter_; }
  Count(const Count&) = delete;
  Count& operator=(const Count&) = delete;

private:
  std::atomic<std::size_t>& counter_;
};

} // namespace

Httpd::Httpd(std::size_t threads, std::function<void(const Exchange&)> done)
    : thread_limit_(threads), done_(std::move(done)) {
  set_socket_options(set_listener_options);
  set_logger([](const httplib::Request& request, const httplib::Response& response) {
    exchange().method = request.method;
    exchange().status = response.status;
  });
  set_post_routing_handler([](const httplib::Request&, httplib::Response& response) {
    response.headers.erase("Keep-Alive"); // httplib's own limits, which do not apply here
    if (exchange().trace != 0)
      response.set_header("X-Request-Id", telemetry::to_hex(exchange().trace));
    if (!exchange().close) return;
    response.headers.erase("Connection");
    response.set_header("Connection", "close");
  });
}

Httpd::~Httpd() {
  if (svr_sock_ != INVALID_SOCKET) ::close(svr_sock_);
}

Exchange& Httpd::exchange() {
  return *current_exchange;
}

u16 Httpd::bind(const std::string& host, u16 port) {
  errno = 0;
  const int bound = port == 0 ? bind_to_any_port(host) : bind_to_port(host, port) ? port : -1;
  if (bound < 0)
    throw Error(Errc::io,
                fmt::format("cannot listen on {} port {}: {}; choose another address", host, port,
                            errno != 0 ? std::strerror(errno) : "no such address"));
  const socket_t socket = svr_sock_;
  ::fcntl(socket, F_SETFL, ::fcntl(socket, F_GETFL) | O_NONBLOCK);
  ::listen(socket, kBacklog);
  return static_cast<u16>(bound);
}

void Httpd::serve() {
  ConnectionThreads threads(thread_limit_);
  while (!stopped_) {
    if (!threads.wait_for_free(kSlice)) continue;
    const socket_t socket = accept_next();
    if (socket >= 0) threads.run([this, socket] { serve_connection(socket); });
  }
  ::close(svr_sock_.exchange(INVALID_SOCKET));
}

/// The next connection, or -1 after a while.
socket_t Httpd::accept_next() {
  pollfd entry{svr_sock_, POLLIN, 0};
  if (::poll(&entry, 1, static_cast<int>(kSlice.count())) <= 0) return -1;
  const socket_t socket = ::accept4(svr_sock_, nullptr, nullptr, SOCK_CLOEXEC);
  const bool out_of_something =
      socket < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM);
  if (out_of_something) std::this_thread::sleep_for(kSlice); // the connection stays in the queue
  return socket;
}

void Httpd::serve_connection(socket_t socket) {
  Connection connection(socket, abort_);
  while (connection.await_request(closing_) && serve_request(connection)) {
  }
}

/// True if the connection can take another request.
bool Httpd::serve_request(Connection& connection) {
  const Count counted(active_);
  Exchange exchange;
  exchange.route = "-";
  exchange.method = "-";
  exchange.arrived = std::chrono::system_clock::now();
  exchange.began = std::chrono::steady_clock::now();
  exchange.connection = &connection;
  current_exchange = &exchange;
  const bool last = closing_;
  bool closed = last;
  const auto head_is_read = [&](httplib::Request& request) {
    connection.end_of_head();
    exchange.arrived = std::chrono::system_clock::now();
    exchange.began = std::chrono::steady_clock::now();
    exchange.trace =
        telemetry::parse_traceparent(request.get_header_value("traceparent")).value_or(0);
    // Compression would let the length of an answer say more about it, and nobody needs parts.
    request.headers.erase("Accept-Encoding");
    request.headers.erase("Range");
    request.ranges.clear();
  };
  const bool written = process_request(connection, last, closed, head_is_read);
  current_exchange = nullptr;
  if (exchange.status > 0) done_(exchange);
  if (exchange.close) connection.linger();
  return written && !closed && !exchange.close;
}

} // namespace talaria::gateway
