#include "kv/prefix_cache.hpp"

#include <boost/test/unit_test.hpp>
#include <numeric>
#include <vector>

namespace talaria::kv {

BOOST_AUTO_TEST_SUITE(prefix_cache_test)

namespace {

struct Fixture {
  explicit Fixture(std::size_t blocks = 100, std::size_t owner_blocks = 100, u32 window = 0,
                   const std::vector<u32>& public_prefix = {}) {
    const auto layout =
        std::make_shared<const Layout>(std::vector<LayerShape>{{1, 2, window}}, Format::fp32);
    block = layout->block_bytes(0);
    store = std::make_shared<Store>(layout, blocks * block);
    cache.emplace(store, owner_blocks * block, public_prefix);
  }
  /// A sequence of these tokens comes, is computed, and is over.
  void pass(const PrefixOwner& owner, const std::vector<u32>& tokens) {
    const SequenceId id = ++last;
    const u32 shared = cache->begin(owner, tokens, id);
    const auto count = static_cast<u32>(tokens.size());
    for (u32 at = shared; at < count; at += std::min(count - at, 50U))
      BOOST_TEST_REQUIRE(bool(store->extend(id, at, std::min(count - at, 50U))));
    cache->keep(owner, tokens, id);
    store->release(id);
  }
  u32 found(const PrefixOwner& owner, const std::vector<u32>& tokens) {
    const SequenceId id = ++last;
    const u32 shared = cache->begin(owner, tokens, id);
    store->release(id);
    return shared;
  }
  std::size_t used() const { return store->usage().used / block; }

  std::size_t block = 0;
  std::shared_ptr<Store> store;
  std::optional<PrefixCache> cache;
  SequenceId last = 0;
};

std::vector<u32> tokens(u32 first, u32 count) {
  std::vector<u32> out(count);
  std::iota(out.begin(), out.end(), first);
  return out;
}

} // namespace

BOOST_AUTO_TEST_CASE(whole_blocks_of_the_same_owner_are_found) {
  Fixture f;
  f.pass(std::string("a"), tokens(0, 200));
  BOOST_TEST(f.used() == 3U);
  BOOST_TEST(f.found(std::string("a"), tokens(0, 200)) == 192U);
  BOOST_TEST(f.found(std::string("a"), tokens(0, 192)) == 128U); // one token is left to compute
  BOOST_TEST(f.found(std::string("a"), tokens(0, 193)) == 192U);
  BOOST_TEST(f.found(std::string("a"), tokens(0, 64)) == 0U);
  BOOST_TEST(f.found(std::string("a"), tokens(1, 200)) == 0U);
  BOOST_TEST(f.found(std::string("b"), tokens(0, 200)) == 0U);
  BOOST_TEST(f.found(std::string(""), tokens(0, 200)) == 0U);
  auto other_end = tokens(0, 200);
  other_end[100] = 7;
  BOOST_TEST(f.found(std::string("a"), other_end) == 64U);
  BOOST_TEST(f.cache->counts().hits == 192U + 128 + 192 + 64);
}

BOOST_AUTO_TEST_CASE(a_chat_keeps_one_entry_that_grows) {
  Fixture f;
  for (u32 turn = 1; turn <= 10; ++turn) {
    f.pass(std::string("a"), tokens(0, 100 * turn));
    BOOST_TEST(f.cache->entries() == 1U);
    BOOST_TEST(f.used() == 100 * turn / 64);
  }
  f.pass(std::string("a"), tokens(0, 300)); // says nothing new
  BOOST_TEST(f.cache->entries() == 1U);
  BOOST_TEST(f.found(std::string("a"), tokens(0, 2000)) == 960U);
}

BOOST_AUTO_TEST_CASE(what_was_used_longest_ago_goes_first) {
  Fixture f;
  f.pass(std::string("a"), tokens(0, 64));
  f.pass(std::string("b"), tokens(1000, 64));
  f.pass(std::string("c"), tokens(2000, 64));
  BOOST_TEST(f.found(std::string("a"), tokens(0, 65)) == 64U);
  BOOST_TEST(f.cache->evict());
  BOOST_TEST(f.found(std::string("b"), tokens(1000, 65)) == 0U);
  BOOST_TEST(f.found(std::string("a"), tokens(0, 65)) == 64U);
  BOOST_TEST(f.found(std::string("c"), tokens(2000, 65)) == 64U);
  BOOST_TEST(f.cache->evict());
  BOOST_TEST(f.cache->evict());
  BOOST_TEST(!f.cache->evict());
  BOOST_TEST(f.used() == 0U);
}

BOOST_AUTO_TEST_CASE(an_owner_has_a_quota_and_takes_nothing_from_others) {
  Fixture f(100, 4);
  f.pass(std::string("b"), tokens(0, 128));
  for (u32 i = 0; i < 20; ++i) f.pass(std::string("a"), tokens(1000 * i, 128));
  BOOST_TEST(f.cache->entries() == 3U); // two of the one, one of the other
  BOOST_TEST(f.found(std::string("b"), tokens(0, 129)) == 128U);
  BOOST_TEST(f.found(std::string("a"), tokens(19000, 129)) == 128U);
  BOOST_TEST(f.found(std::string("a"), tokens(17000, 129)) == 0U);
  f.pass(std::string("a"), tokens(50000, 64 * 5)); // more than the quota
  BOOST_TEST(f.found(std::string("a"), tokens(50000, 400)) == 0U);
}

BOOST_AUTO_TEST_CASE(windows_share_only_what_they_still_see) {
  Fixture f(100, 100, 64);
  f.pass(std::string("a"), tokens(0, 640));
  BOOST_TEST(f.found(std::string("a"), tokens(0, 700)) == 640U);
  BOOST_TEST(f.found(std::string("a"), tokens(0, 300)) == 0U); // its last 63 positions are gone
}

BOOST_AUTO_TEST_CASE(a_public_prefix_is_everybodys_and_nothing_behind_it) {
  Fixture f(100, 100, 0, tokens(0, 150));                     // two whole blocks
  BOOST_TEST(f.found(std::string(""), tokens(0, 400)) == 0U); // nobody has computed it yet
  f.pass(std::string("a"), tokens(0, 400));
  BOOST_TEST(f.cache->entries() == 2U);
  BOOST_TEST(f.used() == 6U); // shared with the owner's
  BOOST_TEST(f.found(std::string("a"), tokens(0, 400)) == 384U);
  for (const char* other : {"b", ""}) {
    BOOST_TEST(f.found(std::string(other), tokens(0, 400)) == 128U);
    BOOST_TEST(f.found(std::string(other), tokens(0, 100)) == 64U);
    BOOST_TEST(f.found(std::string(other), tokens(1, 400)) == 0U);
  }
  f.pass(std::string(""), tokens(0, 300)); // keeps nothing of its own
  BOOST_TEST(f.found(std::string(""), tokens(0, 300)) == 128U);
  BOOST_TEST(f.found(std::string("b"), tokens(0, 300)) == 128U);
  BOOST_TEST(f.cache->entries() == 2U);
}

BOOST_AUTO_TEST_CASE(who_computes_a_public_prefix_makes_no_difference) {
  for (const char* first : {"a", ""}) {
    Fixture f(100, 100, 0, tokens(0, 128));
    f.pass(std::string(first), tokens(0, 129));
    BOOST_TEST(f.found(std::string("b"), tokens(0, 200)) == 128U);
    BOOST_TEST(f.found(std::string(""), tokens(0, 200)) == 128U);
  }
  Fixture part(100, 100, 0, tokens(0, 128));
  part.pass(std::string("a"), tokens(0, 120)); // only a part of it
  BOOST_TEST(part.found(std::string("b"), tokens(0, 200)) == 0U);
  BOOST_TEST(part.found(std::string("a"), tokens(0, 200)) == 64U);
}

// Keys and values of an adapter are others, of the same tokens.
BOOST_AUTO_TEST_CASE(whoever_computes_otherwise_neither_takes_nor_gives_the_public_prefix) {
  for (const char* name : {"a", ""}) {
    Fixture f(100, 100, 0, tokens(0, 128));
    const PrefixOwner adapted(name, false);
    f.pass(adapted, tokens(0, 200));
    BOOST_TEST(f.found(std::string("b"), tokens(0, 200)) == 0U);
    BOOST_TEST(f.found(adapted, tokens(0, 200)) == (*name == 0 ? 0U : 192U));
    f.pass(std::string("b"), tokens(0, 200));
    BOOST_TEST(f.found(std::string(""), tokens(0, 200)) == 128U);
    BOOST_TEST(f.found(PrefixOwner("c", false), tokens(0, 200)) == 0U);
    BOOST_TEST(f.found(PrefixOwner("", false), tokens(0, 200)) == 0U);
  }
}

BOOST_AUTO_TEST_CASE(a_public_prefix_is_given_back_last) {
  Fixture f(100, 100, 0, tokens(0, 128));
  f.pass(std::string("a"), tokens(0, 200));
  f.pass(std::string("b"), tokens(1000, 200));
  BOOST_TEST(f.cache->entries() == 3U);
  BOOST_TEST(f.cache->evict());
  BOOST_TEST(f.cache->evict());
  BOOST_TEST(f.found(std::string("c"), tokens(0, 200)) == 128U);
  BOOST_TEST(f.cache->evict());
  BOOST_TEST(f.used() == 0U);
  BOOST_TEST(!f.cache->evict());
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::kv
