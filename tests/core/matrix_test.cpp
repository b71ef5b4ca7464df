#include "core/matrix.hpp"

#include <boost/test/unit_test.hpp>
#include <type_traits>

#include "core/secret.hpp"

namespace talaria {

static_assert(!std::is_copy_constructible_v<SecretBuffer<u8>>);
static_assert(!std::is_copy_assignable_v<SecretBuffer<u8>>);
static_assert(std::is_move_constructible_v<SecretBuffer<u8>>);

template <class T>
concept Printable = requires(std::ostream& out, const T& value) {
  out << value;
};
static_assert(!Printable<SecretBuffer<u8>>);

BOOST_AUTO_TEST_CASE(buffers_are_aligned_zeroed_and_have_readable_slack) {
  for (const std::size_t n : {1U, 63U, 64U, 65U, 1000U}) {
    const AlignedBuffer<u8> buffer(n);
    BOOST_TEST(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64 == 0U);
    unsigned sum = 0;
    for (std::size_t i = 0; i < n + 64; ++i) sum += buffer.data()[i];
    BOOST_TEST(sum == 0U);
  }
}

BOOST_AUTO_TEST_CASE(a_view_with_a_stride_walks_the_rows_of_a_larger_matrix) {
  Matrix<int> m(3, 5);
  for (int r = 0; r < 3; ++r)
    for (int c = 0; c < 5; ++c) m(r, c) = 10 * r + c;
  const MatrixView<const int> middle(m.data() + 1, 3, 2, 5);
  BOOST_TEST(middle(2, 1) == 22);
  BOOST_TEST(middle(0, 0) == 1);
}

BOOST_AUTO_TEST_CASE(wiping_leaves_zeros) {
  SecretBuffer<u32> secret(100);
  for (auto& word : secret.span()) word = 0xdeadbeef;
  wipe(secret.data(), 100 * sizeof(u32));
  for (const u32 word : secret.span()) BOOST_TEST(word == 0U);
  secret.clear();
  BOOST_TEST(secret.size() == 0U);
}

} // namespace talaria
