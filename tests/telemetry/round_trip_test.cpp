#include "telemetry/round_trip.hpp"

#include <boost/test/unit_test.hpp>
#include <limits>

namespace talaria::telemetry {

namespace {

constexpr i64 kSent = 1'000'000;
constexpr i64 kArrived = 1'001'000;

} // namespace

BOOST_AUTO_TEST_SUITE(round_trip)

BOOST_AUTO_TEST_CASE(a_known_offset_puts_the_worker_where_it_was) {
  const i64 ahead = 5'000'000;
  const auto times = on_our_clock({kSent + ahead + 300, kSent + ahead + 400, kSent + ahead + 700},
                                  ahead, kSent, kArrived);
  BOOST_TEST_REQUIRE(times.has_value());
  BOOST_TEST(times->received == kSent + 300);
  BOOST_TEST(times->started == kSent + 400);
  BOOST_TEST(times->finished == kSent + 700);
}

BOOST_AUTO_TEST_CASE(nothing_arrives_before_it_was_sent_whatever_the_estimate) {
  for (const i64 error : {-900, -300, 0, 300, 900}) {
    const auto times =
        on_our_clock({kSent + 200, kSent + 300, kSent + 800}, error, kSent, kArrived);
    BOOST_TEST_REQUIRE(times.has_value());
    BOOST_TEST(times->received >= kSent);
    BOOST_TEST(times->finished <= kArrived);
    BOOST_TEST(times->started - times->received == 100); // durations are its own
    BOOST_TEST(times->finished - times->started == 500);
  }
}

BOOST_AUTO_TEST_CASE(a_worker_that_talks_nonsense_is_not_drawn) {
  constexpr i64 kMax = std::numeric_limits<i64>::max();
  constexpr i64 kLeast = std::numeric_limits<i64>::min();
  const RemoteTimes nonsense[] = {
      {0, 0, 0},                               // it does not say
      {kSent + 500, kSent + 400, kSent + 600}, // started before it had anything
      {kSent + 300, kSent + 700, kSent + 600}, // ended before it began
      {kSent, kSent, kSent + 1001},            // took longer than we waited
      {1, 1, kMax},
      {kLeast, 1, 2},
      {kLeast, kLeast, kMax},
  };
  for (const auto& times : nonsense)
    BOOST_TEST(!on_our_clock(times, 0, kSent, kArrived).has_value());
  BOOST_TEST(!on_our_clock({kMax - 2, kMax - 1, kMax}, kLeast, kSent, kArrived).has_value());
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::telemetry
