#include "actors/stage_scheduler.hpp"

#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <caf/all.hpp>
#include <chrono>
#include <future>
#include <thread>
#include <vector>

namespace talaria {

namespace {

using Clock = std::chrono::steady_clock;

struct Job final : caf::resumable {
  resume_result resume(caf::execution_unit*, std::size_t) override { return done; }
  void intrusive_ptr_add_ref_impl() override {}
  void intrusive_ptr_release_impl() override {}
};

/// What the policy sees of CAF's coordinator and worker.
struct Coordinator {
  StagePolicy::coordinator_data& data() { return state; }
  StagePolicy::coordinator_data state{nullptr};
};
struct Thread {
  explicit Thread(Coordinator& all) : coordinator(&all) {}
  StagePolicy::worker_data& data() { return state; }
  Coordinator* parent() { return coordinator; }

  /// As if the stage that runs had begun just now, or long ago. Far enough either way that no pause
  /// of the machine makes a difference.
  void stage_is_short() { state.begun = Clock::now() + std::chrono::hours(1); }
  void stage_is_long() { state.begun = Clock::now() - std::chrono::hours(1); }
  void looked_at_the_queue_just_now() { state.alone_since = Clock::now() + std::chrono::hours(1); }
  void looked_at_the_queue_long_ago() { state.alone_since = Clock::now() - std::chrono::hours(1); }

  Coordinator* coordinator;
  StagePolicy::worker_data state{nullptr};
};

struct Threads {
  Threads() {
    for (Thread* thread : {&one, &other}) {
      thread->looked_at_the_queue_just_now();
      thread->stage_is_short();
    }
  }
  std::vector<caf::resumable*> queue() const {
    return {all.state.queue.begin(), all.state.queue.end()};
  }

  Coordinator all;
  Thread one{all};
  Thread other{all};
  StagePolicy policy;
  std::array<Job, 6> jobs;
};

using Jobs = std::vector<caf::resumable*>;

} // namespace

BOOST_FIXTURE_TEST_SUITE(stage_scheduler, Threads)

BOOST_AUTO_TEST_CASE(what_a_short_stage_wakes_follows_it_on_its_thread) {
  policy.internal_enqueue(&one, &jobs[0]);
  policy.internal_enqueue(&one, &jobs[1]);
  BOOST_TEST(queue().empty());
  BOOST_TEST(policy.dequeue(&one) == &jobs[0]);
  policy.internal_enqueue(&one, &jobs[2]);
  BOOST_TEST(policy.dequeue(&one) == &jobs[1]);
  BOOST_TEST(policy.dequeue(&one) == &jobs[2]);
}

BOOST_AUTO_TEST_CASE(more_than_a_few_are_shared) {
  for (std::size_t i = 0; i < 5; ++i) policy.internal_enqueue(&one, &jobs[i]);
  BOOST_TEST((queue() == Jobs{&jobs[4]}));
  BOOST_TEST(policy.dequeue(&other) == &jobs[4]);
}

BOOST_AUTO_TEST_CASE(what_a_long_stage_wakes_is_for_everybody) {
  policy.internal_enqueue(&one, &jobs[0]);
  policy.internal_enqueue(&one, &jobs[1]);
  one.stage_is_long();
  BOOST_TEST(policy.dequeue(&one) == &jobs[0]);
  BOOST_TEST(policy.dequeue(&other) == &jobs[1]);
}

BOOST_AUTO_TEST_CASE(a_single_successor_of_a_long_stage_wakes_nobody_else) {
  policy.internal_enqueue(&one, &jobs[0]);
  one.stage_is_long();
  policy.central_enqueue(&all, &jobs[1]);
  BOOST_TEST(policy.dequeue(&one) == &jobs[0]);
  BOOST_TEST((queue() == Jobs{&jobs[1]}));
}

BOOST_AUTO_TEST_CASE(a_long_chain_lets_others_go_first) {
  policy.central_enqueue(&all, &jobs[0]);
  policy.external_enqueue(&other, &jobs[1]);
  policy.internal_enqueue(&one, &jobs[2]);
  one.looked_at_the_queue_long_ago();
  BOOST_TEST(policy.dequeue(&one) == &jobs[0]);
  BOOST_TEST((queue() == Jobs{&jobs[1], &jobs[2]}));
}

BOOST_AUTO_TEST_CASE(an_actor_with_more_messages_goes_on_elsewhere_unless_it_is_alone) {
  policy.resume_job_later(&one, &jobs[0]);
  BOOST_TEST(queue().empty());
  policy.resume_job_later(&one, &jobs[1]);
  BOOST_TEST((queue() == Jobs{&jobs[1]}));
}

BOOST_AUTO_TEST_CASE(what_is_left_at_the_end_is_given_back) {
  policy.central_enqueue(&all, &jobs[0]);
  policy.central_enqueue(&all, &jobs[1]);
  Jobs left;
  policy.foreach_central_resumable(&all, [&](caf::resumable* job) { left.push_back(job); });
  BOOST_TEST((left == Jobs{&jobs[0], &jobs[1]}));
  BOOST_TEST(queue().empty());
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_CASE(stages_of_many_chains_all_run_and_the_system_ends) {
  constexpr std::size_t kChains = 40;
  constexpr std::size_t kVisits = 300;
  for (const std::size_t threads : {1U, 2U, 5U}) {
    std::atomic<std::size_t> visits{0};
    {
      StageSchedulerConfig config(threads);
      caf::actor_system system(config);
      BOOST_TEST(system.scheduler().num_workers() == threads);
      std::vector<std::promise<void>> ends(kChains);
      std::vector<caf::actor> ring(7);
      for (std::size_t i = 0; i < ring.size(); ++i)
        ring[i] = system.spawn([&, i](caf::event_based_actor* self) -> caf::behavior {
          return {[&, i, self](std::size_t chain, std::size_t left) {
            ++visits;
            if (left == 0) return ends[chain].set_value();
            self->send(ring[(i + 1) % ring.size()], chain, left - 1);
          }};
        });
      for (std::size_t c = 0; c < kChains; ++c)
        caf::anon_send(ring[c % ring.size()], c, kVisits - 1);
      for (auto& end : ends) end.get_future().wait();
      for (const caf::actor& stage : ring) caf::anon_send_exit(stage, caf::exit_reason::kill);
    }
    BOOST_TEST(visits.load() == kChains * kVisits);
  }
}

BOOST_AUTO_TEST_CASE(two_long_stages_run_at_the_same_time) {
  StageSchedulerConfig config(2);
  caf::actor_system system(config);
  std::array<std::promise<void>, 2> begun;
  std::array<std::shared_future<void>, 2> other{begun[1].get_future().share(),
                                                begun[0].get_future().share()};
  std::array<std::promise<void>, 2> ended;
  std::vector<caf::actor> stages;
  for (std::size_t i = 0; i < 2; ++i)
    stages.push_back(system.spawn<caf::lazy_init>([&, i](caf::event_based_actor*) -> caf::behavior {
      return {[&, i](std::size_t) {
        begun[i].set_value();
        other[i].wait(); // for ever, if they took turns
        ended[i].set_value();
      }};
    }));
  // Woken by one stage that goes on for long, as a product does that two micro-batches wait for.
  const caf::actor first =
      system.spawn<caf::lazy_init>([&](caf::event_based_actor* self) -> caf::behavior {
        return {[&, self](std::size_t) {
          for (const caf::actor& stage : stages) self->send(stage, std::size_t{0});
          std::this_thread::sleep_for(2 * StagePolicy::kAlone);
        }};
      });
  caf::anon_send(first, std::size_t{0});
  for (auto& end : ended) end.get_future().wait();
}

} // namespace talaria
