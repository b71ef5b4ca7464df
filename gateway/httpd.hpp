#pragma once

#include <httplib.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "core/integers.hpp"
#include "gateway/connection.hpp"
#include "gateway/connection_threads.hpp"
#include "gateway/limits.hpp"

namespace talaria::gateway {

/// One request and its response, beside what httplib keeps of them.
struct Exchange {
  std::chrono::system_clock::time_point arrived; ///< when its head had been read
  std::chrono::steady_clock::time_point began;
  std::string method;
  std::string route; ///< a path that is served; "-" for every other one
  int status = -1;   ///< of the response; -1: there was none
  u64 prompt_tokens = 0;
  u64 completion_tokens = 0;
  std::unique_ptr<Limits::Visit> visit; ///< who asks; only where it matters
  int failed_status = 0; ///< of a stream that failed after its head had gone out; 0: none
  u64 trace = 0; ///< its name in traces and logs: its traceparent's, or our own; 0: none yet
  bool client_left = false; ///< before the response was complete
  bool close = false;       ///< the connection cannot be used for another request
  const Connection* connection = nullptr;
};

/// httplib's request parsing and response writing on connections and threads of our own: httplib
/// 0.11 has no bound on waiting connections, gives handlers no way to notice that a client left,
/// and ends when accept() fails once.
class Httpd final : public httplib::Server {
public:
  /// @param threads  connections served at once; others wait to be accepted
  /// @param done     called after each exchange, on its thread
  Httpd(std::size_t threads, std::function<void(const Exchange&)> done);
  ~Httpd() override;

  /// Binds, so that clients can connect and wait. Port 0: any free one. Returns the port.
  /// @throws Error{io} naming the address.
  u16 bind(const std::string& host, u16 port);
  /// Serves until stop(), then waits for the connections to end. Once.
  void serve();

  /// No connection is used for another request; idle ones are closed.
  void close_idle() noexcept { closing_ = true; }
  /// Every read and write fails from now on.
  void abort() noexcept { closing_ = abort_ = true; }
  /// Makes serve() return. Thread-safe, like the two above.
  void stop() noexcept { closing_ = stopped_ = true; }
  /// Requests being read or answered.
  std::size_t active() const noexcept { return active_; }

  /// Of the request that this thread handles; only inside handlers.
  static Exchange& exchange();

private:
  void serve_connection(socket_t socket);
  bool serve_request(Connection& connection);
  socket_t accept_next();

  std::size_t thread_limit_;
  std::function<void(const Exchange&)> done_;
  std::atomic<bool> closing_{false};
  std::atomic<bool> abort_{false};
  std::atomic<bool> stopped_{false};
  std::atomic<std::size_t> active_{0};
};

} // namespace talaria::gateway
