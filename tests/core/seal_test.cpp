#include "core/seal.hpp"

#include <boost/test/unit_test.hpp>

#include <string>
#include <vector>

#include "core/digest.hpp"
#include "core/error.hpp"

namespace talaria {

namespace {

std::vector<u8> text_bytes(std::string_view text) {
  return {text.begin(), text.end()};
}

} // namespace

BOOST_AUTO_TEST_SUITE(seal)

// RFC 5869, test case 1; of its 42 bytes the first 32.
BOOST_AUTO_TEST_CASE(derived_keys_are_those_of_the_standard) {
  const std::vector<u8> secret(22, 0x0b);
  std::vector<u8> salt(13);
  std::vector<u8> info(10);
  for (u8 i = 0; i < 13; ++i) salt[i] = i;
  for (u8 i = 0; i < 10; ++i) info[i] = static_cast<u8>(0xf0 + i);
  BOOST_TEST(to_hex(derive_key(secret, salt, info)) ==
             "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
}

BOOST_AUTO_TEST_CASE(what_is_closed_opens_with_the_same_words_alone) {
  SealKey key{};
  key[0] = 1;
  const Seal seal(key);
  const auto about = text_bytes("place 3");
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{5000}}) {
    const std::vector<u8> plain(size, 7);
    std::vector<u8> sealed(size + Seal::kOverhead);
    seal.close(about, plain, sealed);
    std::vector<u8> opened(size);
    BOOST_TEST(seal.open(about, sealed, opened));
    BOOST_TEST((opened == plain));
    BOOST_TEST(!seal.open(text_bytes("place 4"), sealed, opened));
    BOOST_TEST(!seal.open({}, sealed, opened));
    for (std::size_t i = 0; i < sealed.size(); i += 1 + sealed.size() / 40) {
      auto changed = sealed;
      changed[i] ^= 0x80;
      BOOST_TEST(!seal.open(about, changed, opened), i);
    }
    std::vector<u8> again(sealed.size());
    seal.close(about, plain, again);
    BOOST_TEST((again != sealed)); // another nonce
  }
  std::vector<u8> nothing;
  BOOST_TEST(!seal.open(about, std::vector<u8>(Seal::kOverhead - 1), nothing));
  BOOST_TEST(!Seal(SealKey{}).open(about, std::vector<u8>(Seal::kOverhead), nothing));
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria
