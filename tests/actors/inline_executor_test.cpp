#include "actors/inline_executor.hpp"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <future>
#include <thread>
#include <vector>

namespace talaria {

namespace {

struct Countdown {
  std::size_t left = 0;
};

} // namespace

} // namespace talaria

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(talaria::Countdown)

namespace talaria {

namespace {

/// For what is to run on the calling thread however slow the machine is.
constexpr std::chrono::hours kLong{1};

struct System {
  System() { config.set("scheduler.max-threads", std::size_t{2}); }
  caf::actor_system_config config;
  caf::actor_system system{config};
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(inline_executor, System)

BOOST_AUTO_TEST_CASE(a_chain_of_actors_runs_on_the_thread_that_brought_the_message) {
  std::vector<std::thread::id> ran; // lazy_init below: a new actor is not at work elsewhere yet
  caf::actor next;
  for (int i = 0; i < 5; ++i)
    next =
        system.spawn<caf::lazy_init>([&ran, next](caf::event_based_actor* self) -> caf::behavior {
          return {[=, &ran](const Countdown& step) {
            ran.push_back(std::this_thread::get_id());
            if (next) self->send(next, step);
          }};
        });
  InlineExecutor(system, kLong).send(next, Countdown{});
  // No waiting: everything has happened when send() returns.
  BOOST_TEST(ran.size() == 5U);
  for (const auto id : ran) BOOST_TEST((id == std::this_thread::get_id()));
}

BOOST_AUTO_TEST_CASE(more_actors_than_a_few_go_to_the_scheduler_and_none_is_lost) {
  constexpr int kActors = 50;
  std::atomic<int> ran{0};
  std::promise<void> all;
  std::vector<caf::actor> fan;
  for (int i = 0; i < kActors; ++i)
    fan.push_back(system.spawn<caf::lazy_init>([&](caf::event_based_actor*) -> caf::behavior {
      return {[&](const Countdown&) {
        if (++ran == kActors) all.set_value();
      }};
    }));
  const caf::actor first =
      system.spawn<caf::lazy_init>([&fan](caf::event_based_actor* self) -> caf::behavior {
        return {[&fan, self](const Countdown& step) {
          for (const caf::actor& actor : fan) self->send(actor, step);
        }};
      });
  InlineExecutor(system, kLong).send(first, Countdown{});
  BOOST_TEST(ran.load() >= 1);
  all.get_future().wait();
  BOOST_TEST(ran.load() == kActors);
}

BOOST_AUTO_TEST_CASE(an_actor_with_much_to_do_goes_on_elsewhere) {
  std::promise<std::thread::id> ended;
  const caf::actor busy =
      system.spawn<caf::lazy_init>([&ended](caf::event_based_actor* self) -> caf::behavior {
        return {[&ended, self](const Countdown& step) {
          if (step.left == 0)
            ended.set_value(std::this_thread::get_id());
          else
            self->send(self, Countdown{step.left - 1});
        }};
      });
  InlineExecutor(system, kLong).send(busy, Countdown{1000});
  BOOST_TEST((ended.get_future().get() != std::this_thread::get_id()));
}

BOOST_AUTO_TEST_CASE(a_chain_that_takes_long_goes_on_elsewhere) {
  std::promise<std::thread::id> ended;
  const caf::actor last =
      system.spawn<caf::lazy_init>([&ended](caf::event_based_actor*) -> caf::behavior {
        return {[&ended](const Countdown&) { ended.set_value(std::this_thread::get_id()); }};
      });
  const caf::actor slow =
      system.spawn<caf::lazy_init>([last](caf::event_based_actor* self) -> caf::behavior {
        return {[last, self](const Countdown& step) {
          std::this_thread::sleep_for(std::chrono::milliseconds(20));
          self->send(last, step);
        }};
      });
  InlineExecutor(system).send(slow, Countdown{});
  BOOST_TEST((ended.get_future().get() != std::this_thread::get_id()));
}

BOOST_AUTO_TEST_CASE(an_actor_that_the_scheduler_runs_gets_the_message_there) {
  std::promise<void> begun;
  std::promise<void> go_on;
  std::promise<std::size_t> got;
  const caf::actor busy =
      system.spawn<caf::lazy_init>([&](caf::event_based_actor*) -> caf::behavior {
        return {[&](const Countdown& step) {
          if (step.left > 0) return got.set_value(step.left);
          begun.set_value();
          go_on.get_future().wait();
        }};
      });
  caf::anon_send(busy, Countdown{});
  begun.get_future().wait();
  InlineExecutor(system).send(busy, Countdown{7}); // returns although `busy` is at work
  go_on.set_value();
  BOOST_TEST(got.get_future().get() == 7U);
}

BOOST_AUTO_TEST_CASE(actors_that_end_here_are_released) {
  const auto held = std::make_shared<int>(0);
  caf::actor brief =
      system.spawn<caf::lazy_init>([held](caf::event_based_actor* self) -> caf::behavior {
        return {[held, self](const Countdown&) { self->quit(); }};
      });
  InlineExecutor executor(system, kLong);
  executor.send(brief, Countdown{});
  executor.send(brief, Countdown{}); // to an actor that has ended: nothing happens
  brief = nullptr;
  BOOST_TEST(held.use_count() == 1);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria
