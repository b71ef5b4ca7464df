#include "transport/clock_estimate.hpp"

#include <boost/test/unit_test.hpp>

using namespace std::chrono_literals;
using talaria::transport::ClockEstimate;

BOOST_AUTO_TEST_SUITE(clock_estimate)

BOOST_AUTO_TEST_CASE(before_the_first_beat_it_knows_nothing) {
  const ClockEstimate estimate;
  BOOST_TEST(estimate.round_trip_ms() == 0);
  BOOST_TEST(estimate.offset_ms() == 0);
}

BOOST_AUTO_TEST_CASE(outliers_move_neither_median_nor_offset) {
  ClockEstimate estimate;
  for (int i = 0; i < 20; ++i) estimate.add(2ms, 1'000'501ms, 1'000'002ms); // 500 ms ahead
  for (int i = 0; i < 9; ++i) estimate.add(900ms, 1'000'000ms, 1'000'900ms);
  BOOST_TEST(estimate.round_trip_ms() == 2);
  BOOST_TEST(estimate.offset_ms() == 500);
}

BOOST_AUTO_TEST_CASE(old_beats_are_forgotten) {
  ClockEstimate estimate;
  for (int i = 0; i < 31; ++i) estimate.add(2ms, 1000ms, 1001ms);
  for (int i = 0; i < 31; ++i) estimate.add(8ms, 5000ms, 2004ms);
  BOOST_TEST(estimate.round_trip_ms() == 8);
  BOOST_TEST(estimate.offset_ms() == 3000);
}

BOOST_AUTO_TEST_CASE(any_clock_of_the_other_end_is_survived) {
  ClockEstimate estimate;
  estimate.add(1ms, std::chrono::nanoseconds::min(), std::chrono::nanoseconds::max());
  BOOST_TEST(estimate.offset_ms() < 0);
}

BOOST_AUTO_TEST_SUITE_END()
