#include "gateway/admission.hpp"

#include <boost/test/unit_test.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace talaria::gateway {

namespace {

using Ticket = std::unique_ptr<Admission::Ticket>;

void nothing() {}

/// A request that counts its places.
struct Asking {
  Asking(Admission& admission, const std::string& client, std::size_t answers)
      : ticket(admission.enter(client, answers)) {}
  std::size_t places() { return has += ticket->take(); }
  void end_one() {
    ticket->give_back();
    --has;
  }
  Ticket ticket;
  std::size_t has = 0;
};

} // namespace

BOOST_AUTO_TEST_SUITE(admission)

BOOST_AUTO_TEST_CASE(a_place_is_given_back_once) {
  Admission admission({.running = 3, .waiting = 0});
  {
    Asking first(admission, "a", 2);
    BOOST_TEST(first.places() == 2U);
    BOOST_TEST(admission.load().running == 2U);
    Asking second(admission, "a", 1);
    BOOST_TEST(admission.load().running == 3U);
    BOOST_CHECK_THROW(admission.enter("a", 1), Admission::Full);
    second.end_one();
    BOOST_TEST(admission.load().running == 2U);
  }
  BOOST_TEST(admission.load().running == 0U);
}

BOOST_AUTO_TEST_CASE(those_who_wait_enter_in_their_order) {
  Admission admission({.running = 1, .waiting = 8});
  std::optional<Asking> all(std::in_place, admission, "a", 1);
  Asking first(admission, "a", 1);
  Asking second(admission, "a", 1);
  BOOST_TEST(admission.load().waiting == 2U);
  all.reset();
  BOOST_TEST(first.places() == 1U);
  BOOST_TEST(second.places() == 0U);
  first.end_one();
  BOOST_TEST(second.places() == 1U);
  BOOST_TEST(admission.load().waiting == 0U);
}

BOOST_AUTO_TEST_CASE(a_batch_enters_by_parts) {
  Admission admission({.running = 4, .waiting = 4});
  Asking other(admission, "a", 3);
  Asking batch(admission, "a", 6);
  BOOST_TEST(batch.places() == 1U);
  BOOST_TEST(admission.load().waiting == 0U); // it has begun
  batch.end_one();
  BOOST_TEST(batch.places() == 1U);
  other.ticket.reset();
  BOOST_TEST(batch.places() == 4U);
}

// One request for 256 answers waited for all its places, and everybody behind it (F4).
BOOST_AUTO_TEST_CASE(a_batch_that_waits_keeps_nobody_from_free_places) {
  Admission admission({.running = 256, .waiting = 256});
  Asking eight(admission, "a", 8);
  BOOST_TEST(eight.places() == 8U);
  Asking batch(admission, "a", 256);
  BOOST_TEST(batch.places() == 216U); // an eighth is left to other requests
  Asking small(admission, "a", 1);
  BOOST_TEST(small.places() == 1U);
  Asking stranger(admission, "b", 1);
  BOOST_TEST(stranger.places() == 1U);
}

BOOST_AUTO_TEST_CASE(the_last_places_are_for_clients_that_have_none) {
  Admission admission({.running = 32, .waiting = 64});
  std::vector<Asking> greedy;
  for (int i = 0; i < 40; ++i) greedy.emplace_back(admission, "greedy", 1);
  BOOST_TEST(admission.load().running == 30U);
  Asking modest(admission, "modest", 1);
  BOOST_TEST(modest.places() == 1U);
}

BOOST_AUTO_TEST_CASE(clients_take_turns_and_so_do_the_requests_of_one) {
  Admission admission({.running = 2, .waiting = 64});
  std::optional<Asking> all(std::in_place, admission, "z", 2);
  Asking batch(admission, "a", 10);
  Asking small(admission, "a", 1);
  Asking other(admission, "b", 10);
  all.reset();
  BOOST_TEST(batch.places() == 1U);
  BOOST_TEST(other.places() == 1U);
  batch.end_one();
  BOOST_TEST(small.places() == 1U);
  small.ticket.reset();
  other.end_one();
  BOOST_TEST(other.places() == 1U);
  BOOST_TEST(batch.places() == 1U);
}

/// One place at a time: who gets it, in order. Each has `many` requests of its cost.
std::string order_of(const std::vector<std::pair<std::string, u64>>& clients, std::size_t many,
                     std::size_t length) {
  Admission admission({.running = 1, .waiting = 1000});
  auto blocker = admission.enter("z", 1);
  std::vector<std::pair<std::string, Ticket>> tickets;
  for (const auto& [name, cost] : clients)
    for (std::size_t i = 0; i < many; ++i)
      tickets.emplace_back(name, admission.enter(name, Admission::Ask{{cost}}));
  blocker.reset();
  std::string order;
  while (order.size() < length)
    for (auto& [name, ticket] : tickets)
      if (ticket && ticket->take() > 0) {
        order += name;
        ticket.reset();
      }
  return order;
}

BOOST_AUTO_TEST_CASE(places_go_by_what_they_cost) {
  // a's answers cost four times as much: it gets one for four of b's.
  const std::string order = order_of({{"a", 400}, {"b", 100}}, 20, 20);
  BOOST_TEST(std::count(order.begin(), order.end(), 'a') == 4);
  BOOST_TEST(order.substr(0, 10) == "abbbbabbbb");
  BOOST_TEST(order_of({{"a", 7}, {"b", 7}, {"c", 7}}, 3, 9) == "abcabcabc");
}

BOOST_AUTO_TEST_CASE(an_answer_costs_in_the_end_what_it_used) {
  Admission admission({.running = 1, .waiting = 100});
  const auto enter = [&](const char* client) {
    return admission.enter(client, Admission::Ask{{100}});
  };
  auto a1 = enter("a"), a2 = enter("a"), a3 = enter("a"), b1 = enter("b"), b2 = enter("b");
  BOOST_TEST(a1->take() == 1U);
  a1->give_back(0, 10); // shorter than thought: a has the next one too
  BOOST_TEST(a2->take() == 1U);
  a2->give_back(0, 100);
  BOOST_TEST(b1->take() == 1U);
  b1->give_back(0, 500); // longer
  BOOST_TEST(a3->take() == 1U);
  a3->give_back(0, 100);
  BOOST_TEST(b2->take() == 1U);
  BOOST_TEST(admission.load().cost == 100U);
}

BOOST_AUTO_TEST_CASE(who_comes_late_has_saved_nothing_up) {
  Admission admission({.running = 1, .waiting = 100});
  std::vector<Ticket> a;
  for (int i = 0; i < 20; ++i) a.push_back(admission.enter("a", Admission::Ask{{100}}));
  for (int i = 0; i < 10; ++i) a[static_cast<std::size_t>(i)].reset();
  std::vector<Ticket> b;
  for (int i = 0; i < 5; ++i) b.push_back(admission.enter("b", Admission::Ask{{100}}));
  a[10].reset(); // was running
  BOOST_TEST(a[11]->take() == 1U);
  a[11].reset();
  BOOST_TEST(b[0]->take() == 1U);
  b[0].reset();
  BOOST_TEST(a[12]->take() == 1U); // in turn, although a has had eleven before b's first
}

BOOST_AUTO_TEST_CASE(answers_begin_while_their_costs_fit) {
  Admission admission({.running = 10, .waiting = 10, .cost = 1000});
  auto large = admission.enter("a", Admission::Ask{{600, 600, 100}});
  auto other = admission.enter("b", Admission::Ask{{300}});
  BOOST_TEST(large->take() == 1U);
  BOOST_TEST(other->take() == 0U); // behind a's second, which it does not overtake
  BOOST_TEST(admission.load().cost == 600U);
  large->give_back(0);
  BOOST_TEST(other->take() == 1U); // b has had less than a by now
  BOOST_TEST(large->take() == 2U); // 600 and 100 beside it
  BOOST_TEST(admission.load().cost == 1000U);
  auto huge = admission.enter("c", Admission::Ask{{5000}});
  BOOST_TEST(huge->take() == 0U);
  other.reset();
  large.reset();
  BOOST_TEST(huge->take() == 1U); // alone
}

BOOST_AUTO_TEST_CASE(priorities_order_the_requests_of_one_client) {
  Admission admission({.running = 1, .waiting = 10});
  auto running = admission.enter("a", 1);
  const auto enter = [&](const char* client, std::vector<u64> costs, i64 priority) {
    return admission.enter(client, Admission::Ask{std::move(costs), priority});
  };
  const std::pair<char, Ticket> all[] = {{'-', enter("a", {1}, 0)},
                                         {'u', enter("a", {1, 1}, -5)},
                                         {'l', enter("a", {1}, 3)},
                                         {'b', enter("b", {1}, 100)}}; // of another client
  running.reset();
  std::string order;
  while (order.size() < 5)
    for (const auto& [name, ticket] : all)
      if (ticket->take() > 0) {
        order += name;
        ticket->give_back();
      }
  BOOST_TEST(order == "ubu-l");
}

BOOST_AUTO_TEST_CASE(the_queue_is_bounded_in_requests) {
  Admission admission({.running = 1, .waiting = 1});
  Asking running(admission, "a", 1);
  Asking batch(admission, "a", 500); // one request, however many answers
  BOOST_TEST(admission.load().waiting == 1U);
  BOOST_CHECK_THROW(admission.enter("a", 1), Admission::Full);
  running.ticket.reset();
  BOOST_TEST(batch.places() == 1U);
}

BOOST_AUTO_TEST_CASE(a_full_queue_makes_room_for_a_client_who_has_less_of_it) {
  Admission admission({.running = 1, .waiting = 3});
  Asking running(admission, "greedy", 1);
  std::vector<Asking> greedy;
  for (int i = 0; i < 3; ++i) greedy.emplace_back(admission, "greedy", 1);
  Asking modest(admission, "modest", 1);
  BOOST_TEST(greedy[2].ticket->displaced()); // the newest
  BOOST_TEST(!greedy[1].ticket->displaced());
  BOOST_TEST(admission.load().waiting == 3U);
  BOOST_CHECK_THROW(greedy[2].ticket->await(nothing), Admission::Full);
  // Equal shares are no reason to send anybody away.
  Asking third(admission, "third", 1);
  BOOST_TEST(greedy[1].ticket->displaced());
  BOOST_CHECK_THROW(admission.enter("fourth", 1), Admission::Full);
}

BOOST_AUTO_TEST_CASE(who_gives_up_waiting_leaves_the_queue) {
  struct Tired {};
  Admission admission({.running = 1, .waiting = 4});
  Asking running(admission, "a", 1);
  {
    Asking waiting(admission, "a", 1);
    BOOST_CHECK_THROW(waiting.ticket->await([] { throw Tired(); }), Tired);
  }
  BOOST_TEST(admission.load().waiting == 0U);
  running.ticket.reset();
  Asking next(admission, "a", 1);
  next.ticket->await(nothing);
  BOOST_TEST(admission.load().running == 1U);
}

BOOST_AUTO_TEST_CASE(news_are_told) {
  Admission admission({.running = 1, .waiting = 4});
  std::optional<Asking> running(std::in_place, admission, "a", 1);
  int news = 0;
  const Ticket waiting = admission.enter("a", 1, [&news] { ++news; });
  BOOST_TEST(news == 0);
  running.reset();
  BOOST_TEST(news == 1);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::gateway
