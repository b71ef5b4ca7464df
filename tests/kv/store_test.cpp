#include "kv/store.hpp"

#include <boost/test/unit_test.hpp>
#include <map>

#include "core/error.hpp"
#include "core/random.hpp"

namespace talaria::kv {

BOOST_AUTO_TEST_SUITE(store_test)

namespace {

/// One layer, whose blocks take kBlock.
std::shared_ptr<const Layout> one_layer() {
  return std::make_shared<const Layout>(std::vector<LayerShape>{{1, 2, 0}}, Format::fp32);
}

/// One layer without a window and one with, whose blocks take kBlock as well.
std::shared_ptr<const Layout> two_layers(u32 window = 100) {
  return std::make_shared<const Layout>(std::vector<LayerShape>{{1, 2, 0}, {1, 2, window}},
                                        Format::fp32);
}
constexpr std::size_t kBlock = std::size_t{2} * kBlockPositions * 2 * sizeof(float);

float* number_of(const BlockList& blocks, std::size_t group, u32 position) {
  auto* floats = reinterpret_cast<float*>(blocks.groups.at(group).at(position).data());
  return floats + position % kBlockPositions;
}

} // namespace

BOOST_AUTO_TEST_CASE(what_the_budget_does_not_hold_is_refused_and_changes_nothing) {
  Store store(two_layers(), 6 * kBlock);
  BOOST_TEST(bool(store.extend(1, 0, 65))); // two blocks of each group
  BOOST_TEST(store.usage().used == 4 * kBlock);
  BOOST_TEST(store.reserve(2, 2 * kBlock));
  BOOST_TEST(store.usage().reserved == 2 * kBlock);
  BOOST_TEST(!store.extend(1, 65, 64));
  BOOST_TEST(!store.reserve(3, 1));
  BOOST_TEST(store.usage().used == 4 * kBlock);
  BOOST_TEST(bool(store.extend(1, 65, 63)));
  BOOST_TEST(bool(store.extend(2, 0, 10))); // was reserved
  BOOST_TEST(store.usage().used == 6 * kBlock);
  BOOST_TEST(store.usage().reserved == 0U);
  BOOST_TEST(!store.extend(2, 10, 55));
  store.release(1);
  BOOST_TEST(store.usage().used == 2 * kBlock);
  BOOST_TEST(bool(store.extend(2, 10, 55)));
}

BOOST_AUTO_TEST_CASE(a_window_gives_blocks_back) {
  Store store(two_layers(64), std::size_t{1} << 20);
  const BlockListPtr early = store.extend(1, 0, 64);
  *number_of(*early, 1, 5) = 3;
  for (u32 at = 64; at < 640; at += 64) store.extend(1, at, 64);
  // Ten blocks of the first group; of the second what positions 576 to 639 and 63 before them need.
  BOOST_TEST(store.usage().used == 12 * kBlock);
  BOOST_TEST(*number_of(*early, 1, 5) == 3); // whoever still reads has them
  BOOST_CHECK_THROW(store.extend(1, 300, 1), Error);
  store.truncate(1, 0);
  BOOST_TEST(store.usage().used == 0U);
  BOOST_TEST(bool(store.extend(1, 0, 64)));
}

BOOST_AUTO_TEST_CASE(truncating_keeps_what_is_before) {
  Store store(one_layer(), std::size_t{1} << 20);
  auto blocks = store.extend(1, 0, 200);
  for (u32 p = 0; p < 200; ++p) *number_of(*blocks, 0, p) = static_cast<float>(p);
  store.truncate(1, 70);
  BOOST_TEST(store.usage().used == 2 * kBlock);
  blocks = store.extend(1, 70, 1);
  BOOST_TEST(store.usage().used == 2 * kBlock);
  for (u32 p = 0; p < 70; ++p) BOOST_TEST(*number_of(*blocks, 0, p) == static_cast<float>(p));
  store.truncate(99, 1); // nobody
}

BOOST_AUTO_TEST_CASE(blocks_are_wiped_before_another_sequence_has_them) {
  Store store(one_layer(), std::size_t{1} << 20);
  auto blocks = store.extend(1, 0, 64 * 16); // a whole slab
  const BlockListPtr reader = blocks;
  for (u32 p = 0; p < 1024; ++p) *number_of(*blocks, 0, p) = 7;
  blocks = nullptr;
  store.release(1);
  BOOST_TEST(*number_of(*reader, 0, 500) == 7);
  const_cast<BlockListPtr&>(reader) = nullptr;
  blocks = store.extend(2, 0, 64 * 16);
  for (u32 p = 0; p < 1024; ++p) BOOST_TEST(*number_of(*blocks, 0, p) == 0);
}

BOOST_AUTO_TEST_CASE(a_shared_prefix_counts_once_and_is_copied_before_it_is_written) {
  Store store(one_layer(), 5 * kBlock);
  auto first = store.extend(1, 0, 150); // three blocks
  for (u32 p = 0; p < 150; ++p) *number_of(*first, 0, p) = static_cast<float>(p);
  BOOST_TEST(store.share(1, 2, 63) == 0U);
  BOOST_TEST(store.share(1, 2, 150) == 128U);
  BOOST_TEST(store.usage().used == 3 * kBlock);
  auto second = store.extend(2, 128, 10);
  BOOST_TEST(store.usage().used == 4 * kBlock);
  BOOST_TEST(number_of(*second, 0, 100) == number_of(*first, 0, 100)); // one place
  BOOST_TEST(number_of(*second, 0, 130) != number_of(*first, 0, 130));
  store.truncate(2, 100);
  second = store.extend(2, 100, 28);
  BOOST_TEST(number_of(*second, 0, 63) == number_of(*first, 0, 63));
  BOOST_TEST(number_of(*second, 0, 99) != number_of(*first, 0, 99));
  BOOST_TEST(*number_of(*second, 0, 99) == 99);
  BOOST_TEST(store.usage().used == 4 * kBlock);
  first = nullptr;
  store.release(1);
  BOOST_TEST(*number_of(*second, 0, 5) == 5); // the other's
  BOOST_TEST(store.usage().used == 2 * kBlock);
  store.release(2);
  BOOST_TEST(store.usage().used == 0U);
  BOOST_TEST(store.usage().reserved == 0U);
}

BOOST_AUTO_TEST_CASE(a_prefix_that_a_window_has_passed_is_not_shared) {
  Store store(two_layers(64), std::size_t{1} << 20);
  for (u32 at = 0; at < 640; at += 64) store.extend(1, at, 64);
  BOOST_TEST(store.share(1, 2, 128) == 0U);
  BOOST_TEST(store.share(1, 2, 640) == 640U);
  BOOST_TEST(bool(store.extend(2, 640, 1)));
}

// Whatever sequences do, every one of them finds what it wrote, the budget holds, and at the end
// nothing is left.
BOOST_AUTO_TEST_CASE(sequences_that_come_share_go_back_and_go_keep_their_contents) {
  for (u64 seed = 0; seed < 40; ++seed) {
    auto rng = seeded_rng(seed);
    const u32 window = rng.below(2) == 0 ? 0 : 1 + static_cast<u32>(rng.below(150));
    const auto layout = two_layers(window);
    const std::size_t budget = (4 + rng.below(40)) * kBlock;
    Store store(layout, budget);
    std::map<SequenceId, std::vector<float>> written; ///< by position
    float next = 1;
    SequenceId last = 0;
    for (int step = 0; step < 300; ++step) {
      const SequenceId id = written.empty() ? 0 : 1 + rng.below(last);
      auto it = written.find(id);
      switch (rng.below(6)) {
      case 0:
        written[++last];
        if (it != written.end() && it->second.size() > 0) {
          const u32 shared = store.share(id, last, static_cast<u32>(it->second.size()));
          written[last].assign(it->second.begin(), it->second.begin() + shared);
        }
        break;
      case 1:
        if (it == written.end()) break;
        store.release(id);
        written.erase(it);
        break;
      case 2:
        if (it == written.end() || (window != 0 && rng.below(2) == 0)) break;
        it->second.resize(window != 0 ? 0 : rng.below(it->second.size() + 1));
        store.truncate(id, static_cast<u32>(it->second.size()));
        break;
      case 3:
        store.reserve(id == 0 ? ++last : id, rng.below(8) * kBlock);
        written[id == 0 ? last : id];
        break;
      default:
        if (it == written.end()) break;
        const auto start = static_cast<u32>(it->second.size());
        const u32 count = 1 + static_cast<u32>(rng.below(100));
        const auto before = store.usage();
        const auto blocks = store.extend(id, start, count);
        if (!blocks) {
          BOOST_TEST_REQUIRE(store.usage().used == before.used);
          break;
        }
        for (u32 p = start; p < start + count; ++p) {
          it->second.push_back(next);
          for (std::size_t group = 0; group < layout->groups(); ++group)
            *number_of(*blocks, group, p) = next;
          ++next;
        }
        for (std::size_t group = 0; group < layout->groups(); ++group) {
          const u32 w = layout->window(group);
          const u32 from = w == 0 || start + 1 < w ? 0 : start + 1 - w;
          for (u32 p = from; p < start + count; ++p)
            BOOST_TEST_REQUIRE(*number_of(*blocks, group, p) == it->second[p]);
        }
      }
      BOOST_TEST_REQUIRE(store.usage().used + store.usage().reserved <= budget);
    }
    for (SequenceId id = 1; id <= last; ++id) store.release(id);
    BOOST_TEST(store.sequences() == 0U);
    BOOST_TEST(store.usage().used == 0U);
    BOOST_TEST(store.usage().reserved == 0U);
  }
}

BOOST_AUTO_TEST_CASE(a_sequence_has_its_state_from_the_first_position_on) {
  const auto layout = std::make_shared<const Layout>(
      std::vector<LayerShape>{{0, 0, 0, 0, 16}, {1, 2, 0}}, Format::fp32);
  constexpr std::size_t kState = 64;
  Store store(layout, 2 * (kState + 2 * kBlock) - 1);
  const StateView view(layout, 0);
  const BlockListPtr first = store.extend(1, 0, 10);
  BOOST_TEST(store.usage().used == kState + kBlock);
  view.state(*first)[3] = 5;
  const BlockListPtr second = store.extend(1, 10, 64); // another block, the same state
  BOOST_TEST(view.state(*second) == view.state(*first));
  BOOST_TEST(bool(store.extend(2, 0, 1)));
  BOOST_TEST(!store.extend(2, 1, 64)); // a byte is missing
  BOOST_TEST(!store.extend(3, 0, 1));
  BOOST_TEST(store.usage().used == 2 * kState + 3 * kBlock);

  // It cannot go back, but begin again with another one.
  BOOST_CHECK_THROW(store.truncate(1, 64), Error);
  store.truncate(1, 0);
  BOOST_TEST(store.usage().used == kState + kBlock);
  BOOST_CHECK_THROW(store.extend(1, 64, 1), Error);
  const BlockListPtr again = store.extend(1, 0, 10);
  BOOST_TEST(view.state(*again) != view.state(*first));
  BOOST_TEST(view.state(*first)[3] == 5); // whoever still works with it has it
  store.release(1);
  store.release(2);
  BOOST_TEST(store.usage().used == 0U);
  BOOST_TEST(store.usage().reserved == 0U);
}

BOOST_AUTO_TEST_CASE(a_state_is_not_shared) {
  const auto layout = std::make_shared<const Layout>(
      std::vector<LayerShape>{{1, 2, 0}, {0, 0, 0, 0, 16}}, Format::fp32);
  Store store(layout, std::size_t{1} << 20);
  BOOST_TEST(bool(store.extend(1, 0, 200)));
  BOOST_TEST(store.share(1, 2, 128) == 0U);
  BOOST_TEST(store.sequences() == 1U);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::kv
