#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "connect/backoff.hpp"
#include "connect/unverified_connection.hpp"

namespace talaria::connect {

/// Verified channels to one server. Each is verified by itself; one that ends, errs or ages is
/// closed and never repaired. After a refusal nobody tries before a wait is over, and then this
/// object does by itself, so that new keys or images of the server never wedge it. Thread-safe.
class ChannelPool {
public:
  struct Options {
    ServerAddress server;
    std::chrono::milliseconds verify_within{15'000}; ///< from connecting to the verdict
    std::chrono::milliseconds first_wait{1'000};     ///< after a refusal; doubles
    std::chrono::milliseconds most_wait{60'000};
    std::chrono::milliseconds most_wait_for_server{5'000}; ///< while nobody answers
    std::size_t most_idle = 8;                             ///< channels that wait for a request
  };
  /// Receives one line about each change: a verdict, a refusal, a new policy.
  using Log = std::function<void(const std::string& line)>;

  ChannelPool(Options options, std::shared_ptr<const Trust> trust, Log log);
  ~ChannelPool();

  /// The first attempt, which decides whether there is any use in going on.
  attest::Verdict first_attempt();

  /// A channel that is as good as new, or `fresh`, one that is. Null: refused, and `why` says so.
  std::unique_ptr<VerifiedChannel> acquire(bool fresh, attest::Verdict& why);
  /// Takes back what may be used again, and closes what may not.
  void release(std::unique_ptr<VerifiedChannel> channel);

  /// Another policy: no request uses a channel of the old one. Null: there is none that can be
  /// read, and nobody is talked to until there is.
  void set_trust(std::shared_ptr<const Trust> trust);

  /// The last one, whichever it was; nothing before the first attempt.
  std::optional<attest::Verdict> verdict() const;
  /// Seconds until the next attempt, at least 1.
  unsigned retry_after_s() const;
  /// No attempt goes on, and none begins.
  void stop();
  bool is_stopped() const noexcept { return stopped_; }

private:
  using Clock = Backoff::Clock;
  Attempt attempt();
  std::unique_ptr<VerifiedChannel> take_idle();
  void note(const attest::Verdict& verdict);
  void keep_trying();

  const Options options_;
  const Log log_;
  std::atomic<bool> stopped_{false};
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::shared_ptr<const Trust> trust_; ///< null: the policy cannot be read
  std::vector<std::unique_ptr<VerifiedChannel>> idle_;
  std::optional<attest::Verdict> verdict_;
  Backoff backoff_;
  std::thread keeper_; ///< last: it uses all of the above
};

} // namespace talaria::connect
