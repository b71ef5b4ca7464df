#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <list>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

#include "core/integers.hpp"

namespace talaria::tests {

/// The network between an enclave and a worker: a TCP relay on 127.0.0.1 that sees every byte and
/// can be slow, or cut. One thread per direction of a connection.
class WireProxy {
public:
  WireProxy() {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    if (listener_ < 0 || ::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::listen(listener_, 64) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
      throw std::runtime_error("no port for a proxy");
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~WireProxy() {
    stop_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    ::close(listener_);
    cut();
    for (auto& relay : relays_) relay.thread.join();
  }
  WireProxy(const WireProxy&) = delete;
  WireProxy& operator=(const WireProxy&) = delete;

  u16 port() const noexcept { return port_; }
  /// Where new connections go from now on.
  void lead_to(u16 port) noexcept { target_ = port; }
  /// From now on every byte is this long on its way, as on a long line: those behind it may follow.
  void delay(std::chrono::milliseconds time) noexcept { delay_ms_ = time.count(); }
  /// Ends all connections that exist.
  void cut() {
    const std::lock_guard lock(mutex_);
    for (auto& relay : relays_) {
      ::shutdown(relay.from, SHUT_RDWR);
      ::shutdown(relay.to, SHUT_RDWR);
    }
  }
  /// Keeps a copy of everything from now on.
  void record() noexcept { recording_ = true; }
  std::string recorded() const {
    const std::lock_guard lock(mutex_);
    return recorded_;
  }

private:
  struct Relay {
    int from = -1;
    int to = -1;
    std::thread thread;
  };

  static sockaddr_in loopback(u16 port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    return address;
  }

  void accept_all() {
    while (!stop_) {
      const int from = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (from < 0) continue;
      const int to = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      const sockaddr_in address = loopback(target_);
      if (::connect(to, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        ::close(from);
        ::close(to);
        continue;
      }
      const int on = 1;
      ::setsockopt(from, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      ::setsockopt(to, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      const std::lock_guard lock(mutex_);
      start(from, to);
      start(::dup(to), ::dup(from));
    }
  }

  void start(int from, int to) {
    relays_.push_back({from, to, {}});
    Relay& relay = relays_.back();
    relay.thread = std::thread([this, from, to] { run(from, to); });
  }

  using Clock = std::chrono::steady_clock;
  struct Piece {
    Clock::time_point due;
    std::string bytes;
  };

  void run(int from, int to) {
    std::string buffer(65536, '\0');
    std::deque<Piece> under_way;
    for (;;) {
      if (!under_way.empty() && under_way.front().due <= Clock::now()) {
        if (!send_all(to, under_way.front().bytes)) break;
        under_way.pop_front();
        continue;
      }
      if (!readable(from, under_way)) continue; // the next piece is due
      const ssize_t n = ::recv(from, buffer.data(), buffer.size(), 0);
      if (n <= 0) break;
      Piece piece{Clock::now() + std::chrono::milliseconds(delay_ms_.load()),
                  buffer.substr(0, static_cast<std::size_t>(n))};
      if (recording_) {
        const std::lock_guard lock(mutex_);
        recorded_ += piece.bytes;
      }
      under_way.push_back(std::move(piece));
    }
    ::shutdown(from, SHUT_RDWR);
    ::shutdown(to, SHUT_RDWR);
    const std::lock_guard lock(mutex_);
    for (auto& relay : relays_)
      if (relay.from == from && relay.to == to) {
        ::close(from);
        ::close(to);
        relay.from = relay.to = -1;
      }
  }

  static bool readable(int from, const std::deque<Piece>& under_way) {
    pollfd waiting{from, POLLIN, 0};
    timespec left{};
    if (!under_way.empty()) {
      const auto ns = std::chrono::nanoseconds(under_way.front().due - Clock::now()).count();
      left.tv_nsec = std::max<i64>(ns, 0) % 1'000'000'000;
      left.tv_sec = std::max<i64>(ns, 0) / 1'000'000'000;
    }
    return ::ppoll(&waiting, 1, under_way.empty() ? nullptr : &left, nullptr) > 0;
  }

  static bool send_all(int to, std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(to, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  int listener_ = -1;
  u16 port_ = 0;
  std::atomic<u16> target_{0};
  std::atomic<long> delay_ms_{0};
  std::atomic<bool> stop_{false};
  std::atomic<bool> recording_{false};
  mutable std::mutex mutex_;
  std::list<Relay> relays_;
  std::string recorded_;
  std::thread acceptor_;
};

} // namespace talaria::tests
