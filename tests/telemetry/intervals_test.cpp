#include "telemetry/intervals.hpp"

#include <boost/test/unit_test.hpp>
#include <random>

namespace talaria::telemetry {

BOOST_AUTO_TEST_SUITE(intervals)

BOOST_AUTO_TEST_CASE(merging_keeps_the_time_and_nothing_twice) {
  const auto out = merged({{5, 8}, {0, 2}, {7, 12}, {2, 3}, {20, 20}, {30, 25}, {6, 7}});
  BOOST_TEST((out == std::vector<Interval>{{0, 3}, {5, 12}}));
  BOOST_TEST(total_length(out) == 10);
  BOOST_TEST(merged({}).empty());
}

BOOST_AUTO_TEST_CASE(others_are_everybody_but_the_one_who_asks) {
  const Activity::Work work[] = {{1, {0, 10}}, {2, {4, 6}}, {1, {20, 30}}, {3, {25, 40}}};
  const Activity activity(work);
  BOOST_TEST((activity.of_others(1, {0, 50}) == std::vector<Interval>{{4, 6}, {25, 40}}));
  BOOST_TEST((activity.of_others(2, {0, 50}) == std::vector<Interval>{{0, 10}, {20, 40}}));
  BOOST_TEST((activity.of_others(3, {5, 26}) == std::vector<Interval>{{5, 10}, {20, 26}}));
  BOOST_TEST(activity.of_others(9, {11, 19}).empty());
}

BOOST_AUTO_TEST_CASE(activity_agrees_with_looking_at_every_instant) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    std::vector<Activity::Work> work;
    for (int i = 0; i < 30; ++i) {
      const auto begin = static_cast<i64>(random() % 100);
      work.push_back({1 + random() % 4, {begin, begin + static_cast<i64>(random() % 15)}});
    }
    const Activity activity(work);
    for (u64 who = 1; who <= 4; ++who) {
      i64 expected = 0;
      for (i64 t = 10; t < 90; ++t)
        for (const auto& w : work)
          if (w.who != who && w.when.begin <= t && t < w.when.end) {
            ++expected;
            break;
          }
      BOOST_TEST(total_length(activity.of_others(who, {10, 90})) == expected,
                 "seed " << seed << ", who " << who);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::telemetry
