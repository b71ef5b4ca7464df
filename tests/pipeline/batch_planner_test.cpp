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

} // namespace talaria::pipeline
