#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/integers.hpp"
#include "gateway/connection.hpp"
#include "gateway/connection_threads.hpp"

namespace talaria::gateway {

/// What clients can make a server hold, and for how long.
struct HttpLimits {
  using Duration = std::chrono::milliseconds;
  std::size_t connections = 4096; ///< at once; cut to what descriptors the process may have
  std::size_t per_address = 1024; ///< of one IPv4 address, or one /64 of IPv6
  std::size_t head_bytes = std::size_t{64} << 10;
  std::size_t buffered_bytes = std::size_t{256} << 20; ///< of requests that are not handled yet
  Duration head_within{20'000}; ///< from the first byte of a request, or the start of TLS
  Duration body_within{60'000}; ///< from the end of the head
  Duration silence{10'000};     ///< without a byte of what is expected
  Duration idle{120'000};       ///< between two requests
};

/// HTTP/1.1 over sockets. One thread waits for all connections that are not being handled, reads
/// what they say and speaks TLS with them; only a complete request gets a thread. So clients that
/// are slow or silent cost a descriptor and a bounded buffer, and nothing that others need: beyond
/// a limit, those that have waited longest are closed for new ones.
class Httpd {
public:
  /// @param threads  for requests that may take long (POST, and what a route says); others have a
  ///                 few of their own
  /// @param router   complete before serve(); must outlive this object
  /// @param done     called after each exchange, on any thread
  Httpd(HttpLimits limits, std::size_t threads, const Router& router,
        std::function<void(const Exchange&)> done);
  ~Httpd();

  /// Binds, so that clients can connect and wait. Port 0: any free one. Returns the port.
  /// @param tls  null: plain
  /// @throws Error{io} naming the address.
  u16 bind(const std::string& host, u16 port, std::shared_ptr<transport::ServerTls> tls = nullptr);
  /// Takes a listening socket of any kind. @throws Error{io} if there are no threads for it.
  void adopt(transport::Socket listener, std::shared_ptr<transport::ServerTls> tls = nullptr);
  /// Serves until stop(), then waits for the handlers to end. Once.
  void serve();

  /// No connection is used for another request; idle ones are closed.
  void close_idle() noexcept { closing_ = true; }
  /// Every read and write fails from now on.
  void abort() noexcept { closing_ = abort_ = true; }
  /// Makes serve() return. Thread-safe, like the two above.
  void stop() noexcept;
  /// Requests that are complete and whose responses are not sent.
  std::size_t active() const noexcept { return active_; }

  /// Of the request that this thread handles; only inside handlers.
  static Exchange& exchange() { return current_exchange(); }

private:
  using Clock = Connection::Clock;
  struct Listener {
    transport::Socket socket;
    std::shared_ptr<transport::ServerTls> tls;
  };
  /// A connection, as the thread that waits knows it.
  struct Watched {
    std::shared_ptr<Connection> connection;
    std::string client;  ///< what counts as one address
    unsigned events = 0; ///< waited for; 0: not waited for
    bool active = false; ///< counted
  };
  using Table = std::unordered_map<int, Watched>;

  void wait_and_dispatch();
  void listen_for(unsigned events);
  void accept_all(const Listener& listener);
  void admit(transport::Accepted accepted, const Listener& listener);
  bool make_room(const std::string& client);
  template <class Chosen>
  bool close_longest_waiting(const Chosen& chosen);
  void go_on(Table::iterator watched);
  bool keep(Connection& connection);
  void watch(Watched& watched, unsigned events);
  void hand_over(Watched& watched);
  void handle(Connection& connection) noexcept;
  void run_handler(Connection& connection);
  void stream(Connection& connection, HttpResponse& response);
  void take_back();
  void close(Table::iterator watched);
  void look_at_clocks();
  bool expired(const Watched& watched, Clock::time_point now);
  void reload_certificates();
  void wake() noexcept;

  const HttpLimits limits_;
  const Router& router_;
  HttpSession::Settings session_;
  ByteBudget buffered_;
  std::atomic<bool> closing_{false};
  std::atomic<bool> abort_{false};
  std::atomic<bool> stopped_{false};
  std::atomic<std::size_t> active_{0};
  FileDescriptor epoll_;
  FileDescriptor wakeup_;
  std::list<Listener> listeners_;
  Table connections_;
  std::unordered_map<std::string, std::size_t> per_client_;
  std::size_t max_connections_ = 0;
  Clock::time_point next_look_;
  Clock::time_point next_reload_;
  bool listens_ = true; ///< false while the process is out of descriptors

  std::mutex mutex_;
  std::vector<int> handled_; ///< sockets of connections whose handler has ended

  // Last, so that they end first.
  std::unique_ptr<ConnectionThreads> long_;  ///< for POST
  std::unique_ptr<ConnectionThreads> short_; ///< for what must answer whatever the others do
  const std::size_t thread_limit_;
};

} // namespace talaria::gateway
