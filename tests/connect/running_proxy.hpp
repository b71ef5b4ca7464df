#pragma once

#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "connect/proxy.hpp"
#include "tests/connect/toy_enclave.hpp"
#include "tests/gateway/raw_client.hpp"

namespace talaria::tests {

/// A proxy on a free port, on a thread of its own.
class RunningProxy {
public:
  explicit RunningProxy(connect::ProxyOptions options,
                        std::shared_ptr<const connect::Trust> trust = toy_trust())
      : proxy_(at_any_port(std::move(options)), std::move(trust),
               [this](const std::string& line) { note(line); }),
        thread_([this] { proxy_.run(); }) {}
  ~RunningProxy() {
    proxy_.stop();
    thread_.join();
  }
  RunningProxy(const RunningProxy&) = delete;
  RunningProxy& operator=(const RunningProxy&) = delete;

  u16 port() const { return proxy_.port(); }
  connect::Proxy* operator->() { return &proxy_; }

  /// Everything that comes back for a request on a connection of its own.
  std::string post(const std::string& path, const std::string& body,
                   const std::string& fields = {}) const {
    const RawClient client(proxy_.port());
    client.send("POST " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n" + fields +
                "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
                "\r\n\r\n" + body);
    return client.rest();
  }
  std::string get(const std::string& target) const {
    const RawClient client(proxy_.port());
    client.send("GET " + target + " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    return client.rest();
  }
  std::vector<std::string> log() const {
    const std::lock_guard lock(mutex_);
    return log_;
  }

private:
  static connect::ProxyOptions at_any_port(connect::ProxyOptions options) {
    options.listen.port = 0;
    return options;
  }
  void note(const std::string& line) {
    const std::lock_guard lock(mutex_);
    log_.push_back(line);
  }

  mutable std::mutex mutex_;
  std::vector<std::string> log_;
  connect::Proxy proxy_;
  std::thread thread_;
};

/// To `server`, with waits that a test can bear.
inline connect::ProxyOptions impatient(const connect::ServerAddress& server) {
  connect::ProxyOptions options;
  options.pool.server = server;
  options.pool.first_wait = std::chrono::milliseconds(1);
  options.pool.most_wait = options.pool.most_wait_for_server = std::chrono::milliseconds(2);
  return options;
}

inline bool is_ok(const std::string& answer) {
  return answer.starts_with("HTTP/1.1 200 ");
}

inline std::string body_of(const std::string& answer) {
  const std::size_t end = answer.find("\r\n\r\n");
  return end == std::string::npos ? std::string() : answer.substr(end + 4);
}

} // namespace talaria::tests
