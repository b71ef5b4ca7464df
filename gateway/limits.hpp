#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "core/integers.hpp"

namespace talaria::gateway {

/// What one client may have. 0: as much as there is.
struct ClientLimits {
  u32 requests = 0;          ///< under way at once
  u32 tokens_per_minute = 0; ///< of prompts and answers
  bool operator==(const ClientLimits&) const = default;
};

/// Who asks: a key, or without keys an address.
struct Client {
  std::string name; ///< "key NAME" or "address IP"; what fairness and limits go by
  ClientLimits limits;
  /// Whoever proved to be this may be told, by time, what the same has asked before; empty: nobody.
  /// A key made anew is another one, whatever its name.
  std::string identity = {};
};

/// Counts what every client has under way and has used. Tokens come back evenly: a client that
/// used none for a minute may use `tokens_per_minute` at once. Thread-safe.
class Limits {
public:
  using Clock = std::chrono::steady_clock;

  /// One request under way; its end ends it.
  class Visit {
  public:
    ~Visit();
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;

    const Client& client() const noexcept { return client_; }
    /// Sets `tokens` aside, those of the prompt and as many as the answer may have. A request for
    /// more than a minute's tokens takes all of them, so that it is answered at some time.
    /// @throws ApiError 429 if so many are not left
    void reserve(u64 tokens);
    /// What was really used takes the place of what was set aside.
    void spend(u64 tokens);

    struct Left {
      std::size_t requests = 0; ///< that may begin beside those under way
      u64 tokens = 0;           ///< that may be used now
      double reset_s = 0;       ///< until all of a minute's tokens are there again
    };
    Left left() const;

  private:
    friend class Limits;
    Visit(Limits& limits, Client client) : limits_(limits), client_(std::move(client)) {}
    Limits& limits_;
    const Client client_;
    double reserved_ = 0;
  };

  explicit Limits(std::function<Clock::time_point()> now = Clock::now) : now_(std::move(now)) {}

  /// @throws ApiError 429 if the client has as many requests under way as it may
  std::unique_ptr<Visit> enter(Client client);
  /// Clients that are remembered.
  std::size_t size() const;

private:
  struct State {
    std::size_t running = 0;
    double tokens = 0; ///< left at `at`; below 0: used ahead
    Clock::time_point at;
  };
  State& state_of(const Client& client);
  void forget_idle();

  const std::function<Clock::time_point()> now_;
  mutable std::mutex mutex_;
  std::map<std::string, State> states_;
};

} // namespace talaria::gateway
