#include "kernels/cuda/reply_pool.hpp"

#include <boost/test/unit_test.hpp>
#include <optional>

namespace talaria::kernels::cuda {

BOOST_AUTO_TEST_CASE(a_reply_nobody_needs_becomes_the_next_one_of_its_size) {
  ReplyPool pool(1000);
  auto first = pool.take(100);
  const u8* memory = first->data();
  const auto meanwhile = pool.take(100);
  BOOST_TEST(meanwhile->data() != memory); // the first is in use
  first.reset();
  BOOST_TEST(pool.kept_bytes() == 100U);
  const auto other_size = pool.take(99);
  BOOST_TEST(other_size->size() == 99U);
  BOOST_TEST(pool.kept_bytes() == 100U);
  const auto next = pool.take(100);
  BOOST_TEST(next->data() == memory);
  BOOST_TEST(next->size() == 100U);
  BOOST_TEST(pool.kept_bytes() == 0U);
}

BOOST_AUTO_TEST_CASE(no_more_is_kept_than_was_allowed) {
  ReplyPool pool(1000);
  pool.take(1001);
  BOOST_TEST(pool.kept_bytes() == 0U);
  {
    const auto a = pool.take(400);
    const auto b = pool.take(500);
    const auto c = pool.take(300);
  }
  BOOST_TEST(pool.kept_bytes() > 0U);
  BOOST_TEST(pool.kept_bytes() <= 1000U);
}

BOOST_AUTO_TEST_CASE(replies_outlive_the_pool) {
  std::optional<ReplyPool> pool(std::in_place, 1000);
  const auto reply = pool->take(10);
  pool.reset();
  (*reply)[9] = 1;
  BOOST_TEST((*reply)[9] == 1);
}

} // namespace talaria::kernels::cuda
