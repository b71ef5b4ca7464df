#include "core/chunk_digests.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cctype>
#include <utility>

using namespace talaria;

namespace {

std::vector<u8> some_bytes(std::size_t count) {
  std::vector<u8> bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<u8>(i * 37 + i / 256);
  return bytes;
}

} // namespace

BOOST_AUTO_TEST_SUITE(chunk_digests)

BOOST_AUTO_TEST_CASE(the_whole_is_sha256_however_the_pieces_come) {
  for (const std::size_t size : {0, 1, 63, 64, 99, 100, 101, 200, 1000, 1001}) {
    const auto bytes = some_bytes(size);
    for (const std::size_t piece : {1, 7, 100, 333, 2000}) {
      ChunkDigests digests(100);
      for (std::size_t at = 0; at < size; at += piece)
        digests.update(std::span(bytes).subspan(at, std::min(piece, size - at)));
      BOOST_TEST((digests.finish() == sha256(bytes)), size << " bytes in pieces of " << piece);
    }
  }
}

BOOST_AUTO_TEST_CASE(each_chunk_matches_itself_and_nothing_else) {
  const auto bytes = some_bytes(1050);
  ChunkDigests first(100);
  first.update(bytes);
  first.finish();
  const ChunkDigests digests = std::move(first);
  for (u64 chunk = 0; chunk < 11; ++chunk) {
    std::vector<u8> piece(bytes.begin() + static_cast<long>(100 * chunk),
                          chunk == 10 ? bytes.end()
                                      : bytes.begin() + static_cast<long>(100 * chunk + 100));
    BOOST_TEST(digests.matches(chunk, piece));
    BOOST_TEST(!digests.matches(chunk + 1, piece));
    for (const std::size_t at : {std::size_t{0}, piece.size() / 2, piece.size() - 1}) {
      piece[at] ^= 1;
      BOOST_TEST(!digests.matches(chunk, piece));
      piece[at] ^= 1;
    }
    BOOST_TEST(!digests.matches(chunk, std::span(piece).first(piece.size() - 1)));
    piece.push_back(0);
    BOOST_TEST(!digests.matches(chunk, piece));
  }
  BOOST_TEST(!digests.matches(0, {}));
}

BOOST_AUTO_TEST_CASE(digests_are_read_as_they_are_written) {
  const Sha256Digest digest = sha256({});
  const std::string text = to_hex(digest);
  BOOST_TEST((parse_sha256(text) == digest));
  std::string upper = text;
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  BOOST_TEST((parse_sha256(upper) == digest));
  for (const std::string& bad :
       {std::string(), text.substr(1), text + "0", "g" + text.substr(1), " " + text.substr(1),
        "0x" + text.substr(2), std::string(64, '\0')})
    BOOST_TEST(!parse_sha256(bad).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
