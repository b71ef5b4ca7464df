#pragma once

#include <array>
#include <caf/all.hpp>
#include <caf/scheduler/abstract_coordinator.hpp>
#include <chrono>
#include <cstddef>
#include <utility>

namespace talaria {

/// A thread from outside the scheduler that brings an actor a message, and runs that actor itself
/// where one of the scheduler's threads would have to be woken: some 50 to 100 us of a virtual
/// machine, as much as the work. What that actor sends wakes the next one here, and so on; if more
/// than a few wake at once, one has much to do, or all together take long, they go to the
/// scheduler: this thread has something else to do.
///
/// The actor system must outlive the use of it. Actors that run here must not join this thread.
class InlineExecutor final : public caf::execution_unit {
public:
  /// Several times what the stages between two products of a row take.
  static constexpr std::chrono::milliseconds kTimeLimit{1};

  /// @param limit  what is not begun this long after send() goes to the scheduler
  explicit InlineExecutor(caf::actor_system& system, std::chrono::nanoseconds limit = kTimeLimit)
      : caf::execution_unit(&system), limit_(limit) {}

  /// Sends `message` to `to` from nobody. Returns when nothing is left to do here.
  template <class Handle, class Message>
  void send(const Handle& to, Message message) {
    const auto receiver = caf::actor_cast<caf::strong_actor_ptr>(to);
    if (!receiver) return;
    receiver->enqueue(
        caf::make_mailbox_element(nullptr, caf::make_message_id(), {}, std::move(message)), this);
    const auto end = std::chrono::steady_clock::now() + limit_;
    while (count_ > 0) {
      caf::resumable* job = next();
      if (std::chrono::steady_clock::now() < end)
        run(job);
      else
        system().scheduler().enqueue(job);
    }
  }

private:
  /// Actors that others have woken: a stage wakes one or two. More of them are work for two
  /// threads.
  static constexpr std::size_t kWaiting = 4;
  /// Of one actor, before others get their turn.
  static constexpr std::size_t kMessages = 16;

  /// Called by actors that run here, with a reference that is ours now.
  void exec_later(caf::resumable* job) override {
    if (count_ == kWaiting) return system().scheduler().enqueue(job);
    waiting_[(first_ + count_++) % kWaiting] = job;
  }

  caf::resumable* next() noexcept {
    --count_;
    return waiting_[std::exchange(first_, (first_ + 1) % kWaiting)];
  }

  void run(caf::resumable* job) {
    switch (job->resume(this, kMessages)) {
    case caf::resumable::resume_later:
      return system().scheduler().enqueue(job);
    case caf::resumable::done:
    case caf::resumable::awaiting_message:
    case caf::resumable::shutdown_execution_unit: // only ever said to the scheduler's own threads
      return caf::intrusive_ptr_release(job);
    }
  }

  const std::chrono::nanoseconds limit_;
  std::array<caf::resumable*, kWaiting> waiting_{}; ///< a ring
  std::size_t first_ = 0;
  std::size_t count_ = 0;
};

} // namespace talaria
