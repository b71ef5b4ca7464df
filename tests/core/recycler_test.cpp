#include "core/recycler.hpp"

#include <boost/test/unit_test.hpp>

#include "core/integers.hpp"

namespace talaria {

using Bytes = AlignedBuffer<u8>;

BOOST_AUTO_TEST_CASE(a_given_buffer_is_taken_again_by_its_size_the_youngest_first) {
  Recycler<Bytes> recycler(1000);
  Bytes first(100), second(100), other(50);
  const u8* const a = first.data();
  const u8* const b = second.data();
  const u8* const c = other.data();
  recycler.give(std::move(first));
  recycler.give(std::move(other));
  recycler.give(std::move(second));
  BOOST_TEST(recycler.take(100).data() == b);
  const Bytes held = recycler.take(100);
  BOOST_TEST(held.data() == a);
  BOOST_TEST(recycler.take(50).data() == c);
  const Bytes fresh = recycler.take(100);
  BOOST_TEST(fresh.size() == 100u);
  BOOST_TEST(fresh.data() != a);
}

BOOST_AUTO_TEST_CASE(what_is_too_much_is_let_go_the_oldest_first) {
  Recycler<Bytes> recycler(250);
  Bytes old(100), young(100), last(100), large(251);
  old[0] = 1, young[0] = 2, last[0] = 3;
  recycler.give(std::move(old));
  recycler.give(std::move(young));
  recycler.give(std::move(last));
  recycler.give(std::move(large)); // never fits, and drives nobody out
  BOOST_TEST(recycler.take(100)[0] == 3);
  const Bytes second = recycler.take(100);
  BOOST_TEST(second[0] == 2);
}

} // namespace talaria
