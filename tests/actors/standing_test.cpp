// What a worker did decides when it is asked again, and how many lines it may cause.
#include "actors/cluster/standing.hpp"

#include <boost/test/unit_test.hpp>

namespace talaria::cluster {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

FaultPolicy policy() {
  FaultPolicy policy;
  policy.strikes = 3;
  policy.quarantine = minutes(5);
  return policy;
}

const Clock::time_point kStart = Clock::time_point() + hours(1);

} // namespace

BOOST_AUTO_TEST_SUITE(standing)

BOOST_AUTO_TEST_CASE(a_longer_order_prolongs_a_shorter_one_and_never_the_other_way) {
  Standing node(policy());
  BOOST_TEST(node.came(kStart));
  BOOST_TEST(node.suspend(kStart, seconds(5)));
  BOOST_TEST(node.quarantine(kStart + seconds(1)));
  BOOST_TEST(!node.suspend(kStart + seconds(2), seconds(5)));
  // The link of the shorter order has said that it is there again: that is not believed.
  BOOST_TEST(!node.came(kStart + seconds(6)));
  BOOST_TEST(!node.usable(kStart + seconds(6)));
  BOOST_TEST(!node.came(kStart + minutes(5)));
  BOOST_TEST(node.came(kStart + minutes(5) + seconds(1)));
  BOOST_TEST(node.usable(kStart + minutes(5) + seconds(1)));
}

BOOST_AUTO_TEST_CASE(another_lie_prolongs_a_quarantine_and_is_no_news) {
  Standing node(policy());
  BOOST_TEST(node.quarantine(kStart));
  BOOST_TEST(!node.quarantine(kStart + minutes(4)));
  BOOST_TEST(!node.came(kStart + minutes(8)));
  BOOST_TEST(node.came(kStart + minutes(9)));
  BOOST_TEST(node.quarantine(kStart + minutes(9)));
}

BOOST_AUTO_TEST_CASE(strikes_are_counted_in_a_row_and_failures_until_they_are_old) {
  Standing node(policy());
  node.came(kStart);
  BOOST_TEST(!node.failed(kStart));
  BOOST_TEST(!node.failed(kStart));
  node.answered(); // one that answers now and then is not set aside, but others are preferred
  BOOST_TEST(node.strikes() == 0U);
  BOOST_TEST(node.failures(kStart) == 2U);
  BOOST_TEST(!node.failed(kStart));
  BOOST_TEST(!node.failed(kStart));
  BOOST_TEST(node.failed(kStart));
  BOOST_TEST(node.failures(kStart + minutes(5)) == 5U);
  BOOST_TEST(node.failures(kStart + minutes(5) + seconds(1)) == 0U);
  node.failed(kStart + hours(1));
  BOOST_TEST(node.failures(kStart + hours(1)) == 1U);
}

BOOST_AUTO_TEST_CASE(a_worker_cannot_flood_the_log) {
  LineBudget lines;
  u32 written = 0;
  for (int i = 0; i < 10'000; ++i) written += lines.take("lost", kStart) ? 1 : 0;
  BOOST_TEST(written == LineBudget::kAtOnce);
  BOOST_TEST(!lines.take("lost", kStart + LineBudget::kPause - seconds(1)));
  const auto next = lines.take("lost", kStart + LineBudget::kPause);
  BOOST_TEST_REQUIRE(next.has_value());
  BOOST_TEST(*next == "lost (before it 9981 lines were left out)");
  BOOST_TEST(!lines.take("lost", kStart + LineBudget::kPause));
  // After a quiet day there are as many as at first, not more.
  written = 0;
  for (int i = 0; i < 100; ++i) written += lines.take("lost", kStart + hours(24)) ? 1 : 0;
  BOOST_TEST(written == LineBudget::kAtOnce);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::cluster
