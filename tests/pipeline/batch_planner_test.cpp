#include "pipeline/batch_planner.hpp"

#include <boost/test/unit_test.hpp>
#include <map>
#include <numeric>

#include "core/random.hpp"

namespace talaria::pipeline {

namespace {

std::vector<u32> counted(std::size_t n) {
  std::vector<u32> tokens(n);
  std::iota(tokens.begin(), tokens.end(), 0U);
  return tokens;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_prompt_goes_in_chunks_and_samples_only_at_its_end) {
  BatchPlanner planner({.micro_batches = 8, .max_rows = 256, .prefill_chunk = 4});
  planner.add(1, counted(10), true, LogitsWanted::none);
  const auto a = planner.next();
  const auto b = planner.next();
  const auto c = planner.next();
  BOOST_TEST_REQUIRE((a && b && c));
  BOOST_TEST(a->tokens == (std::vector<u32>{0, 1, 2, 3}), boost::test_tools::per_element());
  BOOST_TEST(b->segments.front().start == 4U);
  BOOST_TEST(c->rows == 2U);
  BOOST_TEST(!a->segments.front().sample);
  BOOST_TEST(!b->segments.front().sample);
  BOOST_TEST(c->segments.front().sample);
  BOOST_TEST(!planner.next());
}

BOOST_AUTO_TEST_CASE(no_more_micro_batches_are_in_flight_than_allowed) {
  BatchPlanner planner({.micro_batches = 2, .max_rows = 1, .prefill_chunk = 1});
  planner.add(1, counted(9), true, LogitsWanted::none);
  const auto first = planner.next();
  BOOST_TEST(bool(planner.next()));
  BOOST_TEST(!planner.next());
  BOOST_TEST(planner.retire(first->id) == std::vector<enclave::SequenceId>{1},
             boost::test_tools::per_element());
  BOOST_TEST(bool(planner.next()));
  BOOST_TEST(planner.retire(12345).empty());
}

BOOST_AUTO_TEST_CASE(logits_are_asked_for_exactly_where_they_are_wanted) {
  BatchPlanner planner({.micro_batches = 9, .max_rows = 256, .prefill_chunk = 3});
  planner.add(1, counted(7), false, LogitsWanted::last);
  std::vector<u32> rows;
  while (const auto batch = planner.next()) rows.push_back(batch->segments.front().logits_rows);
  BOOST_TEST(rows == (std::vector<u32>{0, 0, 1}), boost::test_tools::per_element());
  planner.add(2, counted(7), false, LogitsWanted::all);
  rows.clear();
  while (const auto batch = planner.next()) rows.push_back(batch->segments.front().logits_rows);
  BOOST_TEST(rows == (std::vector<u32>{3, 3, 1}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(decoding_sequences_are_spread_over_the_micro_batches) {
  BatchPlanner planner({.micro_batches = 2, .max_rows = 256, .prefill_chunk = 64});
  for (enclave::SequenceId id = 1; id <= 8; ++id) planner.add(id, {7}, true, LogitsWanted::none);
  const auto a = planner.next();
  const auto b = planner.next();
  BOOST_TEST_REQUIRE((a && b));
  BOOST_TEST(a->rows == 4U);
  BOOST_TEST(b->rows == 4U);
}

// Whatever the limits and however sequences come and go, every token of every sequence enters the
// layers once, in order, and no micro-batch breaks a limit.
BOOST_AUTO_TEST_CASE(every_token_enters_once_and_in_order) {
  for (u64 seed = 0; seed < 60; ++seed) {
    auto rng = seeded_rng(seed);
    const BatchLimits limits{static_cast<u32>(1 + rng.below(4)),
                             static_cast<u32>(1 + rng.below(40)),
                             static_cast<u32>(1 + rng.below(20))};
    BatchPlanner planner(limits);
    struct Expected {
      std::size_t next = 0;
      std::size_t total = 0;
      std::size_t to_generate = 0;
    };
    std::map<enclave::SequenceId, Expected> expected;
    std::vector<enclave::MicroBatch> flying;
    enclave::SequenceId last = 0;
    std::size_t finished = 0;
    while (finished < 25) {
      if (last < 25 && rng.below(3) == 0) {
        const std::size_t n = 1 + rng.below(60);
        expected[++last] = {0, n, rng.below(12)};
        planner.add(last, counted(n), true, LogitsWanted::none);
      }
      if (auto batch = planner.next()) {
        BOOST_TEST_REQUIRE(batch->rows <= limits.max_rows);
        std::size_t row = 0;
        for (const auto& s : batch->segments) {
          Expected& e = expected.at(s.sequence);
          BOOST_TEST_REQUIRE(s.start == e.next);
          BOOST_TEST_REQUIRE(s.count <= std::max(1U, limits.prefill_chunk));
          for (u32 i = 0; i < s.count; ++i)
            BOOST_TEST_REQUIRE(batch->tokens[row + i] == s.start + i);
          row += s.count;
          e.next += s.count;
          BOOST_TEST_REQUIRE(s.sample == (e.next == e.total));
        }
        BOOST_TEST_REQUIRE(row == batch->rows);
        flying.push_back(*std::move(batch));
        BOOST_TEST_REQUIRE(flying.size() <= limits.micro_batches);
      } else if (!flying.empty()) {
        const std::size_t pick = rng.below(flying.size());
        const auto done = std::move(flying[pick]);
        flying.erase(flying.begin() + static_cast<std::ptrdiff_t>(pick));
        planner.retire(done.id);
        for (const auto& s : done.segments) {
          if (!s.sample) continue;
          Expected& e = expected.at(s.sequence);
          if (e.to_generate == 0) {
            planner.remove(s.sequence);
            ++finished;
            continue;
          }
          --e.to_generate;
          planner.append(s.sequence, static_cast<u32>(e.total++));
        }
      }
    }
    BOOST_TEST(planner.sequences() == 0U);
  }
}

BOOST_AUTO_TEST_CASE(a_removed_sequence_is_known_to_be_under_way_until_its_rows_retire) {
  BatchPlanner planner({.micro_batches = 3, .max_rows = 8, .prefill_chunk = 2});
  planner.add(1, counted(4), true, LogitsWanted::none);
  const auto a = planner.next();
  const auto b = planner.next();
  planner.remove(1);
  BOOST_TEST(planner.under_way(1));
  planner.retire(a->id);
  BOOST_TEST(planner.under_way(1));
  planner.retire(b->id);
  BOOST_TEST(!planner.under_way(1));
}

namespace {

/// Blocks of a kilobyte, one group.
std::shared_ptr<kv::Store> store_of(std::size_t blocks) {
  const auto layout =
      std::make_shared<const kv::Layout>(std::vector<kv::LayerShape>{{1, 2, 0}}, kv::Format::fp32);
  return std::make_shared<kv::Store>(layout, blocks * layout->block_bytes(0));
}

} // namespace

BOOST_AUTO_TEST_CASE(a_sequence_that_does_not_fit_waits_and_is_not_overtaken) {
  const BatchLimits limits{.micro_batches = 1, .max_rows = 256, .prefill_chunk = 256};
  const auto store = store_of(4);
  BatchPlanner planner(limits, {}, store);
  planner.add(1, counted(100), true, LogitsWanted::none, 20); // two blocks
  planner.add(2, counted(150), true, LogitsWanted::none, 20); // three
  planner.add(3, counted(10), true, LogitsWanted::none, 20);  // one
  const auto first = planner.next();
  BOOST_TEST_REQUIRE(bool(first));
  BOOST_TEST(first->segments.size() == 1U);
  BOOST_TEST(first->segments.front().sequence == 1U);
  BOOST_TEST(first->segments.front().blocks->groups.front().blocks.size() == 2U);
  BOOST_TEST(planner.waiting_for_memory() == 2U);
  planner.retire(first->id);
  BOOST_TEST(!planner.next());
  planner.remove(1);
  BOOST_TEST(planner.waiting_for_memory() == 0U);
  BOOST_TEST(planner.next()->segments.size() == 2U);
}

BOOST_AUTO_TEST_CASE(blocks_of_a_removed_sequence_stay_until_its_rows_retire) {
  const auto store = store_of(4);
  BatchPlanner planner({.micro_batches = 2, .max_rows = 256, .prefill_chunk = 256}, {}, store);
  planner.add(1, counted(100), true, LogitsWanted::none, 20);
  const auto batch = planner.next();
  planner.remove(1);
  BOOST_TEST(store->usage().used > 0U);
  planner.add(2, counted(190), true, LogitsWanted::none, 2);
  BOOST_TEST(planner.waiting_for_memory() == 1U);
  planner.retire(batch->id);
  BOOST_TEST(store->usage().used == 0U);
  BOOST_TEST(planner.waiting_for_memory() == 0U);
}

BOOST_AUTO_TEST_CASE(the_sequence_that_came_last_gives_way_and_begins_again) {
  const auto store = store_of(4);
  BatchPlanner planner({.micro_batches = 1, .max_rows = 256, .prefill_chunk = 256}, {}, store);
  std::map<enclave::SequenceId, u32> left{{1, 130}, {2, 100}};
  planner.add(1, counted(63), true, LogitsWanted::none, 130); // four blocks in the end
  planner.add(2, counted(60), true, LogitsWanted::none, 100); // two at first
  BOOST_TEST(planner.waiting_for_memory() == 0U);
  std::vector<enclave::SequenceId> parked;
  std::vector<u32> begun; ///< rows that began a sequence
  std::vector<enclave::SequenceId> ended;
  while (const auto batch = planner.next()) {
    for (const auto id : planner.take_parked()) parked.push_back(id);
    planner.retire(batch->id);
    for (const auto& s : batch->segments) {
      if (s.start == 0) begun.push_back(s.count);
      BOOST_TEST_REQUIRE(s.sample);
      if (--left[s.sequence] > 0) {
        planner.append(s.sequence, 7);
      } else {
        planner.remove(s.sequence);
        ended.push_back(s.sequence);
      }
    }
  }
  // In its 67th round the first one needs a third block; the second has 126 tokens by then.
  BOOST_TEST(parked == std::vector<enclave::SequenceId>{2}, boost::test_tools::per_element());
  BOOST_TEST(begun == (std::vector<u32>{63, 60, 126}), boost::test_tools::per_element());
  BOOST_TEST(ended == (std::vector<enclave::SequenceId>{1, 2}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_prompt_that_begins_again_hands_back_its_last_logits_once) {
  const auto store = store_of(4);
  BatchPlanner planner({.micro_batches = 1, .max_rows = 256, .prefill_chunk = 1}, {}, store);
  planner.add(1, counted(10), true, LogitsWanted::none, 130); // three blocks in the end
  u32 left = 130;
  std::vector<u32> handed_back; ///< positions
  std::size_t parked = 0;
  for (u32 round = 0; auto batch = planner.next(); ++round) {
    parked += planner.take_parked().size();
    planner.retire(batch->id);
    for (const auto& s : batch->segments) {
      if (s.logits_rows > 0) handed_back.push_back(s.start + s.count - 1);
      if (s.sequence == 2 && s.start + s.count == 120) planner.remove(2);
      if (!s.sample) continue;
      if (--left > 0)
        planner.append(1, 7);
      else
        planner.remove(1);
    }
    // Not far from its end when the first one needs a third block.
    if (round == 10) planner.add(2, counted(120), false, LogitsWanted::last);
  }
  BOOST_TEST(parked == 1U);
  BOOST_TEST(handed_back == std::vector<u32>{119}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(under_padding_a_sequence_begins_when_all_of_it_fits) {
  const auto store = store_of(4);
  Padding padding;
  padding.rounds = 10;
  const BatchLimits limits{.micro_batches = 2, .max_rows = 256, .prefill_chunk = 256};
  BOOST_TEST(positions_that_fit(*store, limits, padding) == 4 * 64 - 9);
  BatchPlanner planner(limits, padding, store);
  planner.add(1, counted(10), true, LogitsWanted::none, 100); // 119 positions with dummy rounds
  planner.add(2, counted(10), true, LogitsWanted::none, 110); // 129
  BOOST_TEST(planner.waiting_for_memory() == 1U);
  BOOST_TEST(store->usage().reserved == 2 * store->layout().block_bytes(0));
  planner.remove(1);
  BOOST_TEST(planner.waiting_for_memory() == 0U);
}

BOOST_AUTO_TEST_CASE(a_sequence_begins_behind_what_the_same_owner_has_computed) {
  const BatchLimits limits{.micro_batches = 2, .max_rows = 256, .prefill_chunk = 256};
  const auto store = store_of(20);
  BatchPlanner planner(limits, {}, store,
                       std::make_shared<kv::PrefixCache>(store, store->usage().budget));
  const auto rows_of = [&](enclave::SequenceId id, LogitsWanted logits, const std::string& owner,
                           bool failed = false, bool abandoned = false) {
    planner.add(id, counted(150), true, logits, 10, owner);
    const auto batch = planner.next();
    BOOST_TEST(planner.cached_tokens(id) == 150 - batch->rows);
    BOOST_TEST(batch->segments.front().inherited == 150 - batch->rows);
    if (abandoned) planner.end(id);
    if (failed)
      planner.retire_failed(batch->id);
    else
      planner.retire(batch->id);
    planner.remove(id);
    return batch->rows;
  };
  BOOST_TEST(rows_of(1, LogitsWanted::none, "a", /*failed=*/true) == 150U);
  BOOST_TEST(rows_of(2, LogitsWanted::none, "a", false, /*abandoned=*/true) == 150U);
  BOOST_TEST(rows_of(3, LogitsWanted::none, "a") == 150U);
  BOOST_TEST(rows_of(4, LogitsWanted::none, "a") == 22U);
  BOOST_TEST(rows_of(5, LogitsWanted::none, "b") == 150U);
  BOOST_TEST(rows_of(6, LogitsWanted::all, "a") == 150U);
  BOOST_TEST(rows_of(9, LogitsWanted::last, "a") == 22U);
  BOOST_TEST(rows_of(7, LogitsWanted::none, "") == 150U);
  BOOST_TEST(rows_of(8, LogitsWanted::none, "") == 150U);
}

// However little memory there is: every token of every sequence enters once, or again from the
// first after its blocks were taken; no row is sent without a block; all sequences end.
BOOST_AUTO_TEST_CASE(sequences_end_however_little_memory_there_is) {
  for (u64 seed = 0; seed < 80; ++seed) {
    auto rng = seeded_rng(seed);
    const BatchLimits limits{static_cast<u32>(1 + rng.below(4)),
                             static_cast<u32>(1 + rng.below(90)),
                             static_cast<u32>(1 + rng.below(70))};
    const auto store = store_of(3 + rng.below(8)); // the longest sequence takes three
    const auto prefixes = std::make_shared<kv::PrefixCache>(store, store->usage().budget / 2);
    BatchPlanner planner(limits, {}, store, seed % 2 == 0 ? nullptr : prefixes);
    struct Expected {
      std::size_t next = 0;
      std::size_t total = 0;
      std::size_t to_generate = 0;
    };
    std::map<enclave::SequenceId, Expected> expected;
    std::vector<enclave::MicroBatch> flying;
    enclave::SequenceId last = 0;
    std::size_t finished = 0;
    std::size_t parked = 0;
    while (finished < 20) {
      if (last < 20 && rng.below(2) == 0) {
        const auto n = static_cast<u32>(1 + rng.below(100));
        const auto more = static_cast<u32>(1 + rng.below(90));
        expected[++last] = {0, n, more - 1};
        planner.add(last, counted(n), true, LogitsWanted::none, more,
                    std::string(last % 3 == 0 ? "a" : "b"));
      }
      auto batch = planner.next();
      for (const auto id : planner.take_parked()) {
        BOOST_TEST_REQUIRE(!planner.under_way(id));
        expected.at(id).next = 0;
        ++parked;
      }
      BOOST_TEST_REQUIRE(store->usage().used + store->usage().reserved <= store->usage().budget);
      if (batch) {
        for (const auto& s : batch->segments) {
          Expected& e = expected.at(s.sequence);
          if (e.next == 0) e.next = s.inherited;
          BOOST_TEST_REQUIRE(s.start == e.next);
          BOOST_TEST_REQUIRE(s.blocks->groups.front().end() * kv::kBlockPositions >=
                             s.start + s.count);
          e.next += s.count;
          BOOST_TEST_REQUIRE(s.sample == (e.next == e.total));
        }
        flying.push_back(*std::move(batch));
      } else {
        BOOST_TEST_REQUIRE((!flying.empty() || last < 20)); // somebody can go on, always
        if (flying.empty()) continue;
        const std::size_t pick = rng.below(flying.size());
        const auto done = std::move(flying[pick]);
        flying.erase(flying.begin() + static_cast<std::ptrdiff_t>(pick));
        planner.retire(done.id);
        for (const auto& s : done.segments) {
          if (!s.sample) continue;
          Expected& e = expected.at(s.sequence);
          if (e.to_generate == 0 || rng.below(200) == 0) {
            planner.remove(s.sequence);
            ++finished;
            continue;
          }
          --e.to_generate;
          planner.append(s.sequence, static_cast<u32>(e.total++));
        }
      }
    }
    BOOST_TEST(planner.sequences() == 0U);
    while (prefixes->evict()) {
    }
    BOOST_TEST(store->usage().used == 0U);
    BOOST_TEST(store->usage().reserved == 0U);
    BOOST_TEST_MESSAGE("seed " << seed << ": parked " << parked);
  }
}

} // namespace talaria::pipeline
