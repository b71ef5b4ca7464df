#pragma once

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <list>
#include <mutex>
#include <thread>
#include <vector>

#include "core/error.hpp"
#include "transport/socket.hpp"

namespace talaria::tests {

/// The network between a proxy and whoever it takes for its server: a TCP relay on 127.0.0.1 that
/// leads elsewhere, and breaks after so many bytes. One thread, however many connections.
class FlakyWire {
public:
  FlakyWire()
      : listener_(transport::listen_on({"127.0.0.1", 0})),
        wakeup_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), thread_([this] { run(); }) {}
  ~FlakyWire() {
    stop_ = true;
    wake();
    thread_.join();
  }
  FlakyWire(const FlakyWire&) = delete;
  FlakyWire& operator=(const FlakyWire&) = delete;

  u16 port() const { return transport::local_port(listener_); }
  /// Where new connections go from now on; 0: nowhere.
  void lead_to(u16 port) { target_ = port; }
  /// Ends all connections that exist.
  void cut() {
    cut_ = true;
    wake();
  }
  /// Ends every connection once so many bytes more have come from the client's side; 0: never.
  void cut_after(long bytes) { budget_ = bytes == 0 ? kEndless : bytes; }

private:
  static constexpr long kEndless = 1L << 60;
  struct Pair {
    transport::Socket client;
    transport::Socket server;
  };

  void wake() const {
    const u64 one = 1;
    [[maybe_unused]] const auto ignored = ::write(wakeup_.get(), &one, sizeof one);
  }

  void accept_one() {
    bool ignored = false;
    auto accepted = transport::accept_from(listener_, ignored);
    if (!accepted || target_ == 0) return;
    try {
      const auto soon = transport::SteadyClock::now() + std::chrono::seconds(10);
      pairs_.push_back(
          {std::move(accepted->socket), transport::connect_to({"127.0.0.1", target_}, soon)});
    } catch (const Error&) { // nobody there: the client's connection ends
    }
  }

  /// False if the pair is at its end.
  bool move_bytes(int from, int to, bool counts) {
    std::array<char, 16384> bytes;
    std::size_t most = bytes.size();
    if (counts) most = std::min(most, static_cast<std::size_t>(std::max(1L, budget_.load())));
    const ssize_t got = ::recv(from, bytes.data(), most, MSG_DONTWAIT);
    if (got <= 0) return false;
    for (ssize_t done = 0; done < got;) {
      const auto left = static_cast<std::size_t>(got - done);
      const ssize_t put = ::send(to, bytes.data() + done, left, MSG_NOSIGNAL);
      if (put <= 0) return false;
      done += put;
    }
    return !counts || (budget_ -= got) > 0;
  }

  void run() {
    while (!stop_) {
      std::vector<pollfd> waiting{{listener_.get(), POLLIN, 0}, {wakeup_.get(), POLLIN, 0}};
      for (const Pair& pair : pairs_) {
        waiting.push_back({pair.client.get(), POLLIN, 0});
        waiting.push_back({pair.server.get(), POLLIN, 0});
      }
      ::poll(waiting.data(), waiting.size(), -1);
      u64 ignored = 0;
      [[maybe_unused]] const auto count = ::read(wakeup_.get(), &ignored, sizeof ignored);
      std::size_t at = 2;
      for (auto pair = pairs_.begin(); pair != pairs_.end(); at += 2) {
        const bool lives = (waiting[at].revents == 0 ||
                            move_bytes(pair->client.get(), pair->server.get(), true)) &&
                           (waiting[at + 1].revents == 0 ||
                            move_bytes(pair->server.get(), pair->client.get(), false));
        pair = lives ? std::next(pair) : pairs_.erase(pair);
      }
      if (cut_.exchange(false)) pairs_.clear();
      if (waiting[0].revents != 0) accept_one();
    }
  }

  const transport::Socket listener_;
  const transport::Socket wakeup_;
  std::atomic<u16> target_{0};
  std::atomic<long> budget_{kEndless};
  std::atomic<bool> cut_{false};
  std::atomic<bool> stop_{false};
  std::list<Pair> pairs_; ///< of the thread
  std::thread thread_;
};

} // namespace talaria::tests
