// Whoever waits for an actor hears of its end, however it ends.
#include "actors/actor_end.hpp"

#include <boost/test/unit_test.hpp>
#include <caf/all.hpp>
#include <future>
#include <memory>
#include <stdexcept>
#include <thread>

#include "actors/stage_scheduler.hpp"

namespace talaria {

BOOST_AUTO_TEST_SUITE(actor_end)

namespace {

using Answers = caf::typed_actor<caf::replies_to<int>::with<int>>;

struct System {
  StageSchedulerConfig config{2};
  caf::actor_system system{config};
};

Answers::behavior_type doubles(Answers::pointer) {
  return {[](int question) { return 2 * question; }};
}

/// Promises an answer and ends without it: the promise takes the asking actor out of the message
/// and lets go of it.
Answers::behavior_type breaks_its_promise(Answers::pointer self) {
  return {[self](int) {
    self->quit(caf::exit_reason::kill);
    return self->make_response_promise<int>();
  }};
}

Answers::behavior_type throws(Answers::pointer self) {
  name_exceptions_by_kind(self);
  return {[](int) -> int { throw std::runtime_error("4132"); }};
}

} // namespace

BOOST_FIXTURE_TEST_CASE(an_answer_arrives, System) {
  const auto whom = system.spawn(doubles);
  for (int i = 0; i < 100; ++i) BOOST_TEST((ask_until_it_ends<int>(system, whom, i)) == 2 * i);
}

// One of four was lost when nobody held the actor that asks.
BOOST_FIXTURE_TEST_CASE(the_end_of_an_actor_that_breaks_its_promise_is_always_heard_of, System) {
  for (int i = 0; i < 300; ++i) {
    const auto whom = system.spawn(breaks_its_promise);
    BOOST_CHECK_THROW(ask_until_it_ends<int>(system, whom, i), Error);
  }
}

BOOST_FIXTURE_TEST_CASE(an_exception_is_told_by_its_kind, System) {
  for (int i = 0; i < 100; ++i) {
    const auto whom = system.spawn(throws);
    BOOST_CHECK_EXCEPTION(ask_until_it_ends<int>(system, whom, i), Error, [](const Error& error) {
      return std::string(error.what()).find("4132") == std::string::npos;
    });
  }
}

BOOST_FIXTURE_TEST_CASE(who_has_ended_before_is_not_waited_for, System) {
  const auto whom = system.spawn(breaks_its_promise);
  BOOST_CHECK_THROW(ask_until_it_ends<int>(system, whom, 1), Error);
  BOOST_CHECK_THROW(ask_until_it_ends<int>(system, whom, 1), Error);
}

// Status and metrics are asked for by threads that end after the engine. Without that this hangs.
BOOST_AUTO_TEST_CASE(a_thread_that_asked_may_outlive_the_system) {
  auto system = std::make_unique<System>();
  std::promise<void> asked;
  std::promise<void> over;
  std::thread asker([&, ended = over.get_future()] {
    const auto answers = system->system.spawn(doubles);
    BOOST_TEST(ask_until_it_ends<int>(system->system, answers, 21) == 42);
    caf::anon_send_exit(answers, caf::exit_reason::user_shutdown);
    caf::logger::set_current_actor_system(nullptr); // of the spawn above
    asked.set_value();
    ended.wait();
  });
  asked.get_future().wait();
  system.reset();
  over.set_value();
  asker.join();
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria
