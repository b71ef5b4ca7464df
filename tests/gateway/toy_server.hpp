#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "gateway/access_policy.hpp"
#include "gateway/httpd.hpp"
#include "gateway/router.hpp"

namespace talaria::tests {

/// The HTTP layer in front of handlers that need no engine, on a port of its own.
///   GET  /health   on the spot          GET /page   on a thread
///   POST /echo     the body
///   POST /exporter 32 bytes exported from TLS
///   POST /wait     "waited", once release() was called; notes a client that leaves
///   POST /stream   events until release() was called or the client leaves
class ToyServer {
public:
  explicit ToyServer(gateway::HttpLimits limits = {}, std::size_t threads = 32,
                     std::shared_ptr<transport::ServerTls> tls = nullptr,
                     std::vector<std::string> origins = {}, transport::Socket also_at = {});
  ~ToyServer();

  u16 port() const { return port_; }
  gateway::Httpd& httpd() { return httpd_; }
  void release();
  /// Waits until as many requests wait in /wait and /stream.
  void await_waiting(std::size_t count);
  /// Waits until as many clients were found to have left.
  void await_left(std::size_t count);
  /// "METHOD ROUTE OUTCOME" of every exchange so far.
  std::vector<std::string> log() const;
  /// Waits until there are as many.
  std::vector<std::string> await_log(std::size_t count) const;
  void end();

private:
  void wait(gateway::HttpResponse& response);
  void stream(gateway::HttpResponse& response);
  void note(const gateway::Exchange& exchange);

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<std::string> log_;
  std::size_t waiting_ = 0;
  std::size_t left_ = 0;
  bool released_ = false;
  gateway::AccessPolicy policy_;
  gateway::Router router_;
  gateway::Httpd httpd_;
  u16 port_ = 0;
  std::thread thread_;
};

} // namespace talaria::tests
