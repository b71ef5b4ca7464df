#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <list>
#include <mutex>
#include <stdexcept>

namespace talaria::gateway {

/// Decides how many answers are made at once: first come, first served; a bounded number waits; the
/// rest is turned away. Thread-safe.
class Admission {
public:
  struct Limits {
    std::size_t running = 64;  ///< answers being made, at least 1
    std::size_t waiting = 256; ///< answers waiting to be made
  };
  struct Load {
    std::size_t running = 0;
    std::size_t waiting = 0;
  };
  /// Thrown by enter(): as many wait as may.
  struct Full : std::runtime_error {
    Full() : std::runtime_error("the queue is full") {}
  };

  /// The right to make some answers; given back at its end. Movable.
  class Place {
  public:
    Place(Place&& other) noexcept;
    Place& operator=(Place&&) = delete;
    ~Place();

  private:
    friend class Admission;
    Place(Admission& admission, std::size_t answers) : admission_(&admission), answers_(answers) {}
    Admission* admission_; ///< null: moved from
    std::size_t answers_;
  };

  explicit Admission(Limits limits) : limits_(limits) {}

  /// Waits for room for `answers`, 1 to limits().running.
  /// @param check  called about every 100 ms while waiting; what it throws ends the wait
  /// @throws Full
  Place enter(std::size_t answers, const std::function<void()>& check);

  const Limits& limits() const noexcept { return limits_; }
  Load load() const;

private:
  void leave(std::size_t answers);
  /// Adds `answers` to the queue for as long as it lives.
  struct Queued;

  const Limits limits_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::list<std::size_t> queue_; ///< answers of each request that waits, in order
  Load load_;
};

} // namespace talaria::gateway
