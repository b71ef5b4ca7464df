#include "gateway/httpd.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "core/error.hpp"

namespace talaria::gateway {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Phase = Connection::Phase;

constexpr milliseconds kTick{100}; // between two looks at the clocks
constexpr seconds kParting{2};     // for a client to read the answer to what it is still sending
constexpr seconds kReload{2};      // between two looks at the certificate's files
constexpr std::size_t kShortThreads = 4;
constexpr std::size_t kDescriptorsForOthers = 128; // workers, logs, files
constexpr std::size_t kLeastConnections = 16;
constexpr int kAcceptsAtOnce = 64;

[[noreturn]] void fail(const char* what) {
  throw Error(Errc::io, fmt::format("{}: {}", what, std::generic_category().message(errno)));
}

/// The soft limit is for programs that use select(2).
std::size_t descriptors() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  const rlimit raised{limit.rlim_max, limit.rlim_max};
  if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  return static_cast<std::size_t>(limit.rlim_cur);
}

/// An IPv6 client has a whole /64.
std::string one_client(const std::string& address) {
  std::array<unsigned char, 16> bytes{};
  if (::inet_pton(AF_INET6, address.c_str(), bytes.data()) != 1 || address.starts_with("::ffff:"))
    return address;
  return std::string(reinterpret_cast<const char*>(bytes.data()), 8);
}

/// Where the client connected to; empty for a Unix socket.
std::string local_host(int socket) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length) != 0) return "unknown";
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.ss_family == AF_INET)
    ::inet_ntop(AF_INET, &reinterpret_cast<sockaddr_in&>(address).sin_addr, text.data(),
                text.size());
  if (address.ss_family == AF_INET6)
    ::inet_ntop(AF_INET6, &reinterpret_cast<sockaddr_in6&>(address).sin6_addr, text.data(),
                text.size());
  return address.ss_family == AF_UNIX ? std::string() : text.data();
}

/// A client that vanished without a word is found out while its answer is made.
void set_keepalive(int socket) {
  const int on = 1;
  const int after = 30;
  const int every = 10;
  ::setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ::setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &after, sizeof after);
  ::setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof every);
}

/// Nobody but its own client waits for these.
bool may_be_closed(Phase phase) {
  return phase != Phase::handling && phase != Phase::sending;
}

} // namespace

Httpd::Httpd(HttpLimits limits, std::size_t threads, const Router& router,
             std::function<void(const Exchange&)> done)
    : limits_(limits), router_(router), buffered_(limits.buffered_bytes),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)), wakeup_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      thread_limit_(threads) {
  if (!epoll_ || !wakeup_) fail("no epoll");
  session_.router = &router_;
  session_.max_head_bytes = limits.head_bytes;
  session_.idle_seconds =
      static_cast<int>(std::chrono::duration_cast<seconds>(limits.idle).count());
  session_.done = std::move(done);
  session_.closing = &closing_;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = wakeup_.get();
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wakeup_.get(), &event) != 0) fail("epoll");
}

Httpd::~Httpd() = default;

u16 Httpd::bind(const std::string& host, u16 port, std::shared_ptr<transport::ServerTls> tls) {
  try {
    adopt(transport::listen_on({host, port}), std::move(tls));
  } catch (const Error& error) {
    throw Error(Errc::io, fmt::format("{}; choose another address", error.what()));
  }
  return transport::local_port(listeners_.back().socket);
}

void Httpd::adopt(transport::Socket listener, std::shared_ptr<transport::ServerTls> tls) {
  if (!long_) long_ = std::make_unique<ConnectionThreads>(thread_limit_);
  if (!short_) short_ = std::make_unique<ConnectionThreads>(kShortThreads);
  listeners_.push_back({std::move(listener), std::move(tls)});
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = listeners_.back().socket.get();
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, event.data.fd, &event) != 0) fail("epoll");
}

void Httpd::serve() {
  const std::size_t allowed = descriptors();
  const std::size_t rest =
      allowed > kDescriptorsForOthers ? allowed - kDescriptorsForOthers : allowed / 2;
  max_connections_ = std::max(kLeastConnections, std::min(limits_.connections, rest));
  while (!stopped_) wait_and_dispatch();
  abort_ = true;
  long_.reset();
  short_.reset();
  connections_.clear();
  listeners_.clear();
}

void Httpd::stop() noexcept {
  closing_ = stopped_ = true;
  wake();
}

void Httpd::wake() noexcept {
  const u64 one = 1;
  [[maybe_unused]] const auto written = ::write(wakeup_.get(), &one, sizeof one);
}

void Httpd::wait_and_dispatch() {
  std::array<epoll_event, 256> events;
  const int count =
      ::epoll_wait(epoll_.get(), events.data(), events.size(), static_cast<int>(kTick.count()));
  for (int i = 0; i < count; ++i) {
    const int socket = events[i].data.fd;
    const auto listener = std::find_if(listeners_.begin(), listeners_.end(), [&](const auto& each) {
      return each.socket.get() == socket;
    });
    const auto watched = connections_.find(socket);
    if (socket == wakeup_.get())
      take_back();
    else if (listener != listeners_.end())
      accept_all(*listener);
    else if (watched != connections_.end() && watched->second.events != 0)
      go_on(watched);
  }
  const auto now = Clock::now();
  if (now < next_look_) return;
  next_look_ = now + kTick;
  look_at_clocks();
}

void Httpd::listen_for(unsigned events) {
  listens_ = events != 0;
  for (const Listener& listener : listeners_) {
    epoll_event event{};
    event.events = events;
    event.data.fd = listener.socket.get();
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, event.data.fd, &event) != 0) fail("epoll");
  }
}

void Httpd::accept_all(const Listener& listener) {
  for (int i = 0; i < kAcceptsAtOnce; ++i) {
    bool out_of_descriptors = false;
    auto accepted = transport::accept_from(listener.socket, out_of_descriptors);
    if (out_of_descriptors && !close_longest_waiting([](const Watched&) { return true; }))
      listen_for(0); // it stays in the system's queue until the next look at the clocks
    if (!accepted) return;
    try {
      admit(std::move(*accepted), listener);
    } catch (const std::exception&) { // out of memory: this one is closed
    }
  }
}

void Httpd::admit(transport::Accepted accepted, const Listener& listener) {
  const int socket = accepted.socket.get();
  const std::string local = local_host(socket);
  const std::string client = local.empty() ? "unix" : one_client(accepted.peer.host);
  if (!make_room(client)) return;
  if (!local.empty()) set_keepalive(socket);
  Watched watched;
  watched.connection = std::make_shared<Connection>(std::move(accepted.socket),
                                                    local.empty() ? "" : accepted.peer.host, local,
                                                    session_, listener.tls.get(), abort_);
  watched.client = client;
  const auto added = connections_.emplace(socket, std::move(watched)).first;
  ++per_client_[client];
  go_on(added);
}

/// A place for one more of `client`; one that waits for nothing but its own client goes for it.
bool Httpd::make_room(const std::string& client) {
  const auto mine = per_client_.find(client);
  if (mine != per_client_.end() && mine->second >= limits_.per_address &&
      !close_longest_waiting([&](const Watched& each) { return each.client == client; }))
    return false;
  return connections_.size() < max_connections_ ||
         close_longest_waiting([](const Watched&) { return true; });
}

template <class Chosen>
bool Httpd::close_longest_waiting(const Chosen& chosen) {
  auto longest = connections_.end();
  for (auto each = connections_.begin(); each != connections_.end(); ++each) {
    if (!may_be_closed(each->second.connection->phase()) || !chosen(each->second)) continue;
    if (longest == connections_.end() ||
        each->second.connection->phase_began() < longest->second.connection->phase_began())
      longest = each;
  }
  if (longest == connections_.end()) return false;
  close(longest);
  return true;
}

void Httpd::go_on(Table::iterator at) {
  Watched& watched = at->second;
  Connection& connection = *watched.connection;
  auto needs = Connection::Needs::nothing;
  try {
    needs = connection.advance();
    if (!keep(connection)) needs = connection.advance();
  } catch (const std::exception&) { // out of memory
    return close(at);
  }
  using Needs = Connection::Needs;
  if (needs == Needs::a_handler) return hand_over(watched);
  if (needs == Needs::nothing) return close(at);
  if (watched.active && connection.phase() != Phase::sending) {
    watched.active = false;
    --active_;
  }
  watch(watched, needs == Needs::input ? EPOLLIN : EPOLLOUT);
}

/// Charges what a connection holds. If there is no room, the body that has been arriving longest is
/// given up for it; false if that is this one.
bool Httpd::keep(Connection& connection) {
  while (!connection.keep(buffered_)) {
    Watched* longest = nullptr;
    for (auto& [socket, each] : connections_) {
      const Phase phase = each.connection->phase();
      if (phase != Phase::body && phase != Phase::head) continue;
      if (longest == nullptr || each.connection->phase_began() < longest->connection->phase_began())
        longest = &each;
    }
    const bool is_handed_over = connection.phase() == Phase::handling;
    if (longest == nullptr && is_handed_over) return true; // it was let in before
    Connection& victim = longest == nullptr ? connection : *longest->connection;
    victim.give_up(ApiError(503, "the server holds as many requests as it may; try again later", {},
                            "overloaded"));
    if (&victim == &connection) return false;
    watch(*longest, EPOLLOUT);
  }
  return true;
}

void Httpd::watch(Watched& watched, unsigned events) {
  if (watched.events == events) return;
  epoll_event event{};
  event.events = events;
  event.data.fd = watched.connection->socket();
  const int action = events == 0           ? EPOLL_CTL_DEL
                     : watched.events == 0 ? EPOLL_CTL_ADD
                                           : EPOLL_CTL_MOD;
  if (::epoll_ctl(epoll_.get(), action, event.data.fd, &event) != 0) fail("epoll");
  watched.events = events;
}

void Httpd::hand_over(Watched& watched) {
  watch(watched, 0);
  if (!std::exchange(watched.active, true)) ++active_;
  const bool is_long = router_.is_long(watched.connection->session().exchange());
  (is_long ? *long_ : *short_).run([this, connection = watched.connection] {
    handle(*connection);
  });
}

/// On a thread of its own.
void Httpd::handle(Connection& connection) noexcept {
  try {
    run_handler(connection);
  } catch (const std::exception&) { // out of memory: what is sent may end anywhere
    connection.break_off();
  }
  {
    const std::lock_guard lock(mutex_);
    handled_.push_back(connection.socket());
  }
  wake();
}

void Httpd::run_handler(Connection& connection) {
  Exchange& exchange = connection.session().exchange();
  const ExchangeScope scope(exchange);
  HttpResponse response;
  router_.handle(exchange, response);
  if (response.stream) return stream(connection, response);
  connection.session().respond(std::move(response));
  connection.send_some(); // what is left is sent by the thread that waits
}

namespace {

class ConnectionSink final : public BodySink {
public:
  explicit ConnectionSink(Connection& connection) : connection_(connection) {}
  bool write(const char* data, std::size_t size) override {
    connection_.session().add_to_stream({data, size});
    return connection_.send_all();
  }

private:
  Connection& connection_;
};

} // namespace

void Httpd::stream(Connection& connection, HttpResponse& response) {
  HttpSession& session = connection.session();
  session.begin_stream(response);
  ConnectionSink sink(connection);
  bool complete = connection.send_all();
  if (!complete) session.exchange().client_left = true;
  while (complete && !sink.is_done()) complete = response.stream(sink);
  response.stream = nullptr; // whose end accounts for the exchange
  session.end_stream(complete);
  if (complete)
    connection.send_some();
  else
    connection.break_off();
}

void Httpd::take_back() {
  u64 ignored = 0;
  [[maybe_unused]] const auto count = ::read(wakeup_.get(), &ignored, sizeof ignored);
  std::vector<int> sockets;
  {
    const std::lock_guard lock(mutex_);
    sockets.swap(handled_);
  }
  for (const int socket : sockets) {
    const auto watched = connections_.find(socket);
    if (watched == connections_.end()) continue;
    watched->second.connection->handled();
    go_on(watched);
  }
}

void Httpd::close(Table::iterator at) {
  if (at->second.active) --active_;
  if (at->second.events != 0) watch(at->second, 0);
  const auto counted = per_client_.find(at->second.client);
  if (--counted->second == 0) per_client_.erase(counted);
  connections_.erase(at);
}

void Httpd::look_at_clocks() {
  const auto now = Clock::now();
  std::vector<int> late;
  for (const auto& [socket, watched] : connections_)
    if (expired(watched, now)) late.push_back(socket);
  for (const int socket : late) {
    const auto at = connections_.find(socket);
    if (at == connections_.end()) continue;
    Connection& connection = *at->second.connection;
    const bool can_be_told = connection.phase() == Phase::head || connection.phase() == Phase::body;
    if (!can_be_told || abort_) {
      close(at);
      continue;
    }
    connection.give_up(ApiError(408, "the request did not arrive in time", {}, "timeout"));
    go_on(at);
  }
  if (!listens_) listen_for(EPOLLIN);
  if (now >= next_reload_) reload_certificates();
}

bool Httpd::expired(const Watched& watched, Clock::time_point now) {
  const Connection& connection = *watched.connection;
  const auto in_phase = now - connection.phase_began();
  const auto is_silent = [&] { return now - connection.last_progress() > limits_.silence; };
  switch (connection.phase()) {
  case Phase::handling:
    return false;
  case Phase::idle:
    return in_phase > (closing_ ? HttpLimits::Duration(kTick) : limits_.idle);
  case Phase::handshake:
    return in_phase > limits_.head_within;
  case Phase::head:
    return in_phase > limits_.head_within || is_silent() || abort_;
  case Phase::body:
    return in_phase > limits_.body_within || is_silent() || abort_;
  case Phase::sending:
    return is_silent() || abort_;
  case Phase::parting:
    return in_phase > kParting;
  case Phase::over:
    return true;
  }
  return true;
}

/// A certificate that is renewed needs no restart; one that cannot be read changes nothing.
void Httpd::reload_certificates() {
  next_reload_ = Clock::now() + kReload;
  for (const Listener& listener : listeners_) {
    if (!listener.tls) continue;
    try {
      listener.tls->reload_if_changed();
    } catch (const std::exception&) {
    }
  }
}

} // namespace talaria::gateway
