#include "core/random.hpp"

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "core/digest.hpp"

namespace talaria {

namespace {
std::span<const u8> bytes_of(const std::string& text) {
  return {reinterpret_cast<const u8*>(text.data()), text.size()};
}
} // namespace

// RFC 8439, 2.3.2 has a nonce that does not fit our stream numbering; its appendix A.1 vector 1
// does: key 0, nonce 0, counter 0.
BOOST_AUTO_TEST_CASE(chacha20_reproduces_the_rfc_keystream) {
  const std::array<u8, 32> key{};
  ChaChaRng rng(key, 0);
  std::vector<u8> out(64);
  rng.fill(out);
  BOOST_TEST(to_hex(out) == "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
                            "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586");
}

BOOST_AUTO_TEST_CASE(digests_reproduce_published_vectors) {
  BOOST_TEST(to_hex(sha256(bytes_of("abc"))) ==
             "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  BOOST_TEST(to_hex(shake256(bytes_of(""), 32)) ==
             "46b9dd2b0ba88d13233b3feb743eeb243fcd52ea62b81b82b50c27646ed5762f");
}

BOOST_AUTO_TEST_CASE(a_stream_does_not_depend_on_how_it_is_cut) {
  std::vector<u8> whole(1000);
  seeded_rng(5).fill(whole);
  auto rng = seeded_rng(5);
  std::vector<u8> pieces;
  for (std::size_t n = 1; pieces.size() < whole.size(); n = n * 3 % 97) {
    std::vector<u8> piece(std::min(n, whole.size() - pieces.size()));
    rng.fill(piece);
    pieces.insert(pieces.end(), piece.begin(), piece.end());
  }
  BOOST_TEST(pieces == whole, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(streams_and_seeds_differ_and_the_system_never_repeats) {
  const auto first = [](ChaChaRng rng) {
    std::vector<u8> out(32);
    rng.fill(out);
    return out;
  };
  BOOST_CHECK(first(seeded_rng(1, 0)) != first(seeded_rng(1, 1)));
  BOOST_CHECK(first(seeded_rng(1)) != first(seeded_rng(2)));
  BOOST_CHECK(first(ChaChaRng::from_system()) != first(ChaChaRng::from_system()));
}

BOOST_AUTO_TEST_CASE(below_stays_below_and_reaches_everything) {
  auto rng = seeded_rng(9);
  std::vector<int> seen(7);
  for (int i = 0; i < 2000; ++i) ++seen.at(rng.below(7));
  for (const int n : seen) BOOST_TEST(n > 200);
  const u64 large = (u64{1} << 63) + 1;
  for (int i = 0; i < 100; ++i) BOOST_TEST(rng.below(large) < large);
  BOOST_TEST(rng.below(1) == 0U);
}

} // namespace talaria
