#include "gateway/admission.hpp"

#include <boost/test/unit_test.hpp>
#include <future>
#include <optional>
#include <thread>
#include <vector>

namespace talaria::gateway {

namespace {

void nothing() {}

void await_waiting(const Admission& admission, std::size_t waiting) {
  while (admission.load().waiting != waiting) std::this_thread::yield();
}

} // namespace

BOOST_AUTO_TEST_SUITE(admission)

BOOST_AUTO_TEST_CASE(a_place_is_given_back_once) {
  Admission admission({.running = 3, .waiting = 0});
  {
    Admission::Place first = admission.enter(2, nothing);
    const Admission::Place moved = std::move(first);
    BOOST_TEST(admission.load().running == 2);
    BOOST_CHECK_THROW(admission.enter(2, nothing), Admission::Full);
    const Admission::Place second = admission.enter(1, nothing);
    BOOST_TEST(admission.load().running == 3);
  }
  BOOST_TEST(admission.load().running == 0);
}

BOOST_AUTO_TEST_CASE(those_who_wait_enter_in_their_order) {
  Admission admission({.running = 2, .waiting = 8});
  std::vector<int> order;
  std::vector<std::future<void>> done;
  {
    const Admission::Place all = admission.enter(2, nothing);
    // The first needs both places; the one behind it could have had the first free one.
    for (const int answers : {2, 1}) {
      const auto before = admission.load().waiting;
      done.push_back(std::async(std::launch::async, [&, answers] {
        const Admission::Place place = admission.enter(static_cast<std::size_t>(answers), nothing);
        order.push_back(answers); // the first holds everything while it writes
      }));
      await_waiting(admission, before + static_cast<std::size_t>(answers));
    }
  }
  for (auto& each : done) each.get();
  BOOST_TEST(order == std::vector<int>({2, 1}), boost::test_tools::per_element());
  BOOST_TEST(admission.load().waiting == 0);
}

BOOST_AUTO_TEST_CASE(the_queue_is_bounded_in_answers) {
  Admission admission({.running = 1, .waiting = 1});
  std::optional<Admission::Place> running(admission.enter(1, nothing));
  auto waiting = std::async(std::launch::async, [&] { admission.enter(1, nothing); });
  await_waiting(admission, 1);
  BOOST_CHECK_THROW(admission.enter(1, nothing), Admission::Full);
  running.reset();
  waiting.get();
  BOOST_TEST(admission.load().running == 0);
}

BOOST_AUTO_TEST_CASE(who_gives_up_waiting_leaves_the_queue) {
  struct Tired {};
  Admission admission({.running = 1, .waiting = 4});
  std::optional<Admission::Place> running(admission.enter(1, nothing));
  BOOST_CHECK_THROW(admission.enter(1, [] { throw Tired(); }), Tired);
  BOOST_TEST(admission.load().waiting == 0);
  running.reset();
  const Admission::Place next = admission.enter(1, nothing);
  BOOST_TEST(admission.load().running == 1);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::gateway
