#include "core/step_clock.hpp"

#include <boost/test/unit_test.hpp>
#include <optional>
#include <thread>

namespace talaria {

namespace {

using namespace std::chrono_literals;

/// Some time passes that the clock can see.
void work() {
  const auto start = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - start < 10us) {
  }
}

void step(Step which) {
  const TimedStep timed(which);
  work();
}

} // namespace

BOOST_AUTO_TEST_SUITE(step_clock)

BOOST_AUTO_TEST_CASE(steps_add_up_by_kind_while_somebody_listens) {
  step(Step::verify); // nobody does
  const StepClock clock;
  BOOST_TEST((clock.spent(Step::verify) == 0ns));
  step(Step::verify);
  step(Step::verify);
  BOOST_TEST((clock.spent(Step::verify) >= 20us));
  BOOST_TEST((clock.spent(Step::unpack) == 0ns));
}

BOOST_AUTO_TEST_CASE(the_innermost_clock_hears_and_the_outer_one_again_behind_it) {
  const StepClock outer;
  {
    const StepClock inner;
    step(Step::unpack);
    BOOST_TEST((inner.spent(Step::unpack) >= 10us));
  }
  BOOST_TEST((outer.spent(Step::unpack) == 0ns));
  step(Step::unpack);
  BOOST_TEST((outer.spent(Step::unpack) >= 10us));
}

BOOST_AUTO_TEST_CASE(another_thread_is_not_heard) {
  const StepClock clock;
  std::thread([] { step(Step::verify); }).join();
  BOOST_TEST((clock.spent(Step::verify) == 0ns));
}

BOOST_AUTO_TEST_CASE(of_many_rows_some_are_timed_and_stand_for_all) {
  const StepClock clock;
  constexpr std::size_t kRows = 20;
  for (std::size_t row = 0; row < kRows; ++row) {
    std::optional<TimedStep> timed(std::in_place, Step::verify, row, kRows);
    if (row % 8 == 0) work(); // rows 0, 8 and 16 stand for 8, 8 and 4
  }
  BOOST_TEST((clock.spent(Step::verify) >= 200us));
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria
