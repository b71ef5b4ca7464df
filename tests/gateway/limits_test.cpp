#include "gateway/limits.hpp"

#include <boost/test/unit_test.hpp>
#include <string>

#include "gateway/api_error.hpp"

namespace talaria::gateway {

namespace {

/// A clock that goes on when it is told to.
struct Hands {
  Limits::Clock::time_point now{};
  Limits limits{[this] { return now; }};
  void pass(std::chrono::milliseconds time) { now += time; }
};

Client client_of(u32 requests, u32 tokens) {
  return {"key a", {requests, tokens}};
}

/// 0: it may; otherwise the seconds to wait.
u32 refusal_of(Limits::Visit& visit, u64 tokens) {
  try {
    visit.reserve(tokens);
    return 0;
  } catch (const ApiError& error) {
    BOOST_TEST(error.status() == 429);
    BOOST_TEST(error.code() == "rate_limit_exceeded");
    return error.retry_after_s();
  }
}

} // namespace

BOOST_AUTO_TEST_SUITE(limits)

BOOST_AUTO_TEST_CASE(a_client_has_so_many_requests_at_once) {
  Hands hands;
  auto first = hands.limits.enter(client_of(2, 0));
  const auto second = hands.limits.enter(client_of(2, 0));
  BOOST_CHECK_THROW(hands.limits.enter(client_of(2, 0)), ApiError);
  const auto other = hands.limits.enter({"key b", {2, 0}});
  BOOST_TEST(other->left().requests == 1U);
  first.reset();
  first = hands.limits.enter(client_of(2, 0));
  BOOST_TEST(first->left().requests == 0U);
}

BOOST_AUTO_TEST_CASE(tokens_come_back_evenly) {
  Hands hands;
  const auto visit = [&] { return hands.limits.enter(client_of(0, 600)); }; // 10 a second
  const auto first = visit();
  BOOST_TEST(refusal_of(*first, 600) == 0U);
  first->spend(600);
  BOOST_TEST(refusal_of(*visit(), 100) == 10U);
  hands.pass(std::chrono::seconds(9));
  BOOST_TEST(refusal_of(*visit(), 100) == 1U);
  hands.pass(std::chrono::seconds(1));
  BOOST_TEST(refusal_of(*visit(), 100) == 0U);
}

BOOST_AUTO_TEST_CASE(what_was_set_aside_and_not_used_is_given_back) {
  Hands hands;
  const auto visit = [&] { return hands.limits.enter(client_of(0, 600)); };
  {
    const auto first = visit();
    BOOST_TEST(refusal_of(*first, 500) == 0U);
    BOOST_TEST(refusal_of(*visit(), 200) == 10U); // two at once cannot both have them
    first->spend(50);
    BOOST_TEST(visit()->left().tokens == 550U);
  }
  { // A request that never came to anything.
    const auto second = visit();
    BOOST_TEST(refusal_of(*second, 500) == 0U);
  }
  BOOST_TEST(visit()->left().tokens == 550U);
}

BOOST_AUTO_TEST_CASE(an_answer_longer_than_it_was_asked_for_is_paid_later) {
  Hands hands;
  const auto first = hands.limits.enter(client_of(0, 600));
  BOOST_TEST(refusal_of(*first, 10) == 0U);
  first->spend(900);
  BOOST_TEST(first->left().tokens == 0U);
  BOOST_TEST(refusal_of(*hands.limits.enter(client_of(0, 600)), 1) == 31U);
}

BOOST_AUTO_TEST_CASE(a_request_for_more_than_a_minutes_tokens_is_answered_once_they_are_there) {
  Hands hands;
  const auto visit = hands.limits.enter(client_of(0, 60));
  BOOST_TEST(refusal_of(*visit, 100'000) == 0U);
  visit->spend(70);
  BOOST_TEST(refusal_of(*visit, 100'000) == 70U);
}

BOOST_AUTO_TEST_CASE(clients_without_limits_are_not_remembered) {
  Hands hands;
  for (int i = 0; i < 10; ++i) hands.limits.enter({"address " + std::to_string(i), {}});
  BOOST_TEST(hands.limits.size() == 0U);
}

BOOST_AUTO_TEST_CASE(clients_who_used_nothing_for_long_are_forgotten) {
  Hands hands;
  for (int i = 0; i < 5000; ++i) {
    hands.limits.enter({"address " + std::to_string(i), {0, 60}});
    if (i == 4096) hands.pass(std::chrono::minutes(2));
  }
  BOOST_TEST(hands.limits.size() < 1000U);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::gateway
