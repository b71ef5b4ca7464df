#include "transport/receive_buffers.hpp"

#include <boost/test/unit_test.hpp>

#include <thread>
#include <vector>

using namespace talaria;
using transport::ReceiveBuffers;

BOOST_AUTO_TEST_SUITE(receive_buffers)

BOOST_AUTO_TEST_CASE(a_buffer_comes_back_to_those_who_want_its_size) {
  const auto pool = ReceiveBuffers::create();
  const u8* first = pool->take(1000)->data();
  BOOST_TEST(pool->retained() == 1000u);
  const auto other = pool->take(1001);
  BOOST_TEST(other->size() == 1001u);
  const auto again = pool->take(1000);
  BOOST_TEST(again->data() == first);
  BOOST_TEST(pool->retained() == 0u);
  BOOST_TEST(pool->take(1000)->data() != first);
}

BOOST_AUTO_TEST_CASE(no_more_is_kept_than_allowed_and_the_oldest_leaves) {
  const auto pool = ReceiveBuffers::create(3000);
  {
    const auto a = pool->take(1000);
    const auto b = pool->take(1500);
    const auto huge = pool->take(3001);
  }
  BOOST_TEST(pool->retained() == 2500u);
  pool->take(2000).reset();
  BOOST_TEST(pool->retained() <= 3000u);
  BOOST_TEST(pool->retained() >= 2000u);
}

BOOST_AUTO_TEST_CASE(buffers_outlive_the_pool_and_may_be_empty) {
  auto pool = ReceiveBuffers::create();
  const auto buffer = pool->take(64);
  const auto empty = pool->take(0);
  pool.reset();
  BOOST_TEST(buffer->size() == 64u);
  BOOST_TEST(empty->empty());
}

BOOST_AUTO_TEST_CASE(threads_share_it) {
  const auto pool = ReceiveBuffers::create(4000);
  std::vector<std::thread> threads;
  for (u8 t = 1; t <= 4; ++t)
    threads.emplace_back([&, t] {
      for (std::size_t i = 0; i < 500; ++i) {
        const auto buffer = pool->take(500 + i % 4);
        std::fill(buffer->begin(), buffer->end(), t);
        if ((*buffer)[499] != t) std::abort(); // two owners at once
      }
    });
  for (auto& thread : threads) thread.join();
  BOOST_TEST(pool->retained() <= 4000u);
}

BOOST_AUTO_TEST_SUITE_END()
