#include "core/wiping_blocks.hpp"

#include <boost/test/unit_test.hpp>
#include <cstring>
#include <string>

using namespace talaria;

BOOST_AUTO_TEST_SUITE(wiping_blocks)

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// malloc hands out a block of this size again that was just freed; its list of free ones takes the
// first two words.
BOOST_AUTO_TEST_CASE(a_block_that_is_given_back_holds_nothing) {
  constexpr std::size_t kBytes = 200;
  constexpr std::size_t kListed = 16;
  const std::string secret(kBytes - 1, 's');
  auto* const block = static_cast<char*>(take_block(kBytes));
  std::memcpy(block, secret.c_str(), kBytes);
  give_block(block);
  auto* const again = static_cast<char*>(take_block(kBytes));
  BOOST_TEST_REQUIRE(static_cast<void*>(again) == static_cast<void*>(block)); // not the texts there
  BOOST_TEST(std::string(again + kListed, kBytes - kListed) == std::string(kBytes - kListed, '\0'));
  give_block(again);
}

BOOST_AUTO_TEST_CASE(a_block_that_moves_leaves_nothing_behind) {
  constexpr std::size_t kBytes = 200;
  constexpr std::size_t kListed = 16;
  auto* const block = static_cast<char*>(take_block(kBytes));
  std::memset(block, 's', kBytes);
  auto* const larger = static_cast<char*>(resize_block(block, 4 * kBytes));
  BOOST_TEST(std::string(larger, kBytes) == std::string(kBytes, 's'));
  auto* const again = static_cast<char*>(take_block(kBytes));
  BOOST_TEST_REQUIRE(static_cast<void*>(again) == static_cast<void*>(block)); // not the texts there
  BOOST_TEST(std::string(again + kListed, kBytes - kListed) == std::string(kBytes - kListed, '\0'));
  give_block(again);
  give_block(larger);
}
#endif

BOOST_AUTO_TEST_CASE(nothing_is_a_block_as_well) {
  give_block(nullptr);
  void* const block = resize_block(nullptr, 8);
  BOOST_TEST(block != nullptr);
  BOOST_TEST(resize_block(block, 0) == nullptr);
}

BOOST_AUTO_TEST_SUITE_END()
