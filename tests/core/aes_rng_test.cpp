#include "core/aes_rng.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <vector>

#include "core/aes_vaes.hpp"
#include "core/digest.hpp"

using namespace talaria;

namespace {

std::array<u8, 32> counting_key() {
  std::array<u8, 32> key{};
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<u8>(i);
  return key;
}

std::vector<u8> take(AesRng& rng, std::size_t bytes) {
  std::vector<u8> out(bytes + 1, 0xa5);
  rng.fill({out.data(), bytes});
  BOOST_TEST(out.back() == 0xa5); // nothing is written behind the end
  out.pop_back();
  return out;
}

} // namespace

BOOST_AUTO_TEST_SUITE(aes_rng)

// The block of zeros under the key of zeros (NIST's AESAVS, known answers for 256 bits) comes
// first; the keystream of FIPS 197's key was made by the openssl program: head -c 48 /dev/zero |
// openssl enc -aes-256-ctr -K 000102...1f -iv 0
BOOST_AUTO_TEST_CASE(published_blocks_are_reproduced) {
  for (const auto engine : {AesRng::Engine::best, AesRng::Engine::openssl}) {
    AesRng zero(std::array<u8, 32>{}, engine);
    BOOST_TEST(to_hex(take(zero, 16)) == "dc95c078a2408989ad48a21492842087");
    AesRng counting(counting_key(), engine);
    BOOST_TEST(to_hex(take(counting, 48)) == "f29000b62a499fd0a9f39a6add2e7780f05d76ae4ab99fe5a6f69"
                                             "b3148c2363d0ebcb5deb52c83bd08a8a935182c9199");
  }
}

BOOST_AUTO_TEST_CASE(both_engines_make_the_same_stream_however_it_is_cut) {
  BOOST_TEST_MESSAGE("VAES: " << vaes::available());
  AesRng best(counting_key());
  AesRng openssl(counting_key(), AesRng::Engine::openssl);
  for (const std::size_t bytes : {0, 1, 15, 16, 17, 63, 64, 65, 255, 256, 257, 4096, 24576, 99991})
    BOOST_CHECK(take(best, bytes) == take(openssl, bytes));
}

BOOST_AUTO_TEST_CASE(keys_change_after_two_to_the_twenty_blocks) {
  constexpr std::size_t kKeyBytes = std::size_t{16} << 20;
  AesRng best(counting_key());
  AesRng openssl(counting_key(), AesRng::Engine::openssl);
  const auto first = take(best, kKeyBytes - 8); // the last block is used, half of it
  BOOST_CHECK(first == take(openssl, kKeyBytes - 8));
  const auto second = take(best, 64);
  BOOST_CHECK(second == take(openssl, 64));
  BOOST_CHECK(!std::equal(second.begin(), second.end(), first.begin()));
  // Cut elsewhere, the same: a call may run over the change.
  AesRng whole(counting_key());
  const auto both = take(whole, kKeyBytes + 64);
  BOOST_CHECK(std::equal(second.begin(), second.end(), both.end() - 64));
  BOOST_CHECK(std::equal(first.begin(), first.end(), both.begin()));
}

BOOST_AUTO_TEST_CASE(the_system_never_gives_the_same_stream) {
  AesRng a = AesRng::from_system(), b = AesRng::from_system();
  BOOST_CHECK(take(a, 32) != take(b, 32));
}

BOOST_AUTO_TEST_CASE(bits_are_balanced) {
  AesRng rng = AesRng::from_system();
  const auto bytes = take(rng, 1 << 20);
  std::array<long, 8> ones{};
  for (const u8 byte : bytes)
    for (std::size_t i = 0; i < 8; ++i) ones[i] += byte >> i & 1;
  for (const long count : ones) BOOST_TEST(std::abs(count - (1 << 19)) < 4096); // 8 deviations
}

BOOST_AUTO_TEST_SUITE_END()
