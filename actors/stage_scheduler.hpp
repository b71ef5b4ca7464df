#pragma once

#include <array>
#include <caf/actor_system_config.hpp>
#include <caf/policy/unprofiled.hpp>
#include <caf/resumable.hpp>
#include <caf/scheduler/coordinator.hpp>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <utility>

namespace talaria {

/// Which thread runs which actor next, for stages that take from microseconds to milliseconds: a
/// central queue, as CAF's own policy "sharing" has, but the actors that a stage has woken run on
/// its thread if it was short. Two of CAF's threads that hand a row of one sequence to and fro wake
/// each other for every stage, which takes longer than the stage.
///
/// Nobody waits behind another's work for longer than a message takes: an actor gets one message at
/// a time, what a long stage has woken is shared at once, and after kAlone a thread looks at the
/// queue again.
class StagePolicy : public caf::policy::unprofiled {
  using Clock = std::chrono::steady_clock;

public:
  /// Several times what the stages between two products of a row take.
  static constexpr std::chrono::microseconds kAlone{500};
  /// A stage that took less is followed by all that it has woken, one after the other.
  static constexpr std::chrono::microseconds kShort{50};
  /// A stage wakes one or two.
  static constexpr std::size_t kMaxKept = 4;

  struct coordinator_data {
    explicit coordinator_data(caf::scheduler::abstract_coordinator*) {}

    std::mutex mutex;
    std::condition_variable filled;
    std::deque<caf::resumable*> queue;
  };

  struct worker_data {
    explicit worker_data(caf::scheduler::abstract_coordinator*) {}

    std::array<caf::resumable*, kMaxKept> kept{}; ///< a ring: woken here, not begun
    std::size_t first = 0;
    std::size_t count = 0;
    Clock::time_point alone_since; ///< when it last looked at the queue
    Clock::time_point begun;       ///< the last stage
  };

  template <class Coordinator>
  void central_enqueue(Coordinator* self, caf::resumable* job) {
    share(d(self), job);
  }

  template <class Worker>
  void external_enqueue(Worker* self, caf::resumable* job) {
    share(d(self->parent()), job);
  }

  /// Called by an actor that this worker runs.
  template <class Worker>
  void internal_enqueue(Worker* self, caf::resumable* job) {
    worker_data& mine = d(self);
    if (mine.count == kMaxKept) return share(d(self->parent()), job);
    mine.kept[(mine.first + mine.count++) % kMaxKept] = job;
  }

  /// An actor with more messages: somebody else may go on with it, while this thread follows what
  /// it has woken.
  template <class Worker>
  void resume_job_later(Worker* self, caf::resumable* job) {
    if (d(self).count == 0)
      internal_enqueue(self, job);
    else
      share(d(self->parent()), job);
  }

  template <class Worker>
  caf::resumable* dequeue(Worker* self) {
    worker_data& mine = d(self);
    const auto now = Clock::now();
    const bool together = mine.count == 1 || now - mine.begun < kShort;
    caf::resumable* job = mine.count > 0 && together && now - mine.alone_since < kAlone
                              ? take_kept(mine)
                              : take_shared(d(self->parent()), mine);
    return job;
  }

  template <class Worker>
  void before_resume(Worker* self, caf::resumable*) {
    d(self).begun = Clock::now();
  }

  /// A worker ends after a job from the queue, for which it gave away what it had kept.
  template <class Worker, class Function>
  void foreach_resumable(Worker*, Function) {}

  template <class Coordinator, class Function>
  void foreach_central_resumable(Coordinator* self, Function function) {
    std::unique_lock lock(d(self).mutex);
    for (auto& queue = d(self).queue; !queue.empty(); queue.pop_front()) function(queue.front());
  }

private:
  static void share(coordinator_data& all, caf::resumable* job) {
    {
      const std::lock_guard lock(all.mutex);
      all.queue.push_back(job);
    }
    all.filled.notify_one();
  }

  static caf::resumable* take_kept(worker_data& mine) {
    --mine.count;
    return mine.kept[std::exchange(mine.first, (mine.first + 1) % kMaxKept)];
  }

  /// What was kept goes behind what others wait for. Whoever takes wakes the next if there is more.
  static caf::resumable* take_shared(coordinator_data& all, worker_data& mine) {
    std::unique_lock lock(all.mutex);
    while (mine.count > 0) all.queue.push_back(take_kept(mine));
    all.filled.wait(lock, [&all] { return !all.queue.empty(); });
    caf::resumable* job = all.queue.front();
    all.queue.pop_front();
    const bool more = !all.queue.empty();
    lock.unlock();
    if (more) all.filled.notify_one();
    mine.alone_since = Clock::now();
    return job;
  }
};

/// Threads that run the stages of an enclave.
struct StageSchedulerConfig : caf::actor_system_config {
  explicit StageSchedulerConfig(std::size_t threads) {
    load<caf::scheduler::coordinator<StagePolicy>>();
    set("scheduler.max-threads", threads);
    set("scheduler.max-throughput",
        std::size_t{1}); // messages to an actor before others get a turn
  }
};

} // namespace talaria
