#include "actors/cluster/job.hpp"

#include <list>
#include <map>
#include <set>

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "core/random.hpp"

namespace talaria::cluster {

namespace {

using remo::WorkerProduct;

constexpr auto kLater = std::chrono::seconds(1);

/// Two shards of 2 columns; node 0 holds the first, 1 the second, 2 all of them, 3 the first.
MatrixPlan two_shards() {
  return {5,
          "layers.1.o",
          3,
          4,
          {{0, 2, {{0, 0, 2}, {3, 0, 2}, {2, 0, 4}}}, {2, 2, {{1, 2, 2}, {2, 0, 4}}}}};
}

/// Rows of one-byte values: value(row, column) = 16 row + column of the whole matrix.
WorkerProduct product(u32 rows, u32 first, u32 columns) {
  WorkerProduct p;
  p.matrix = 5;
  p.rows = rows;
  p.cols = columns;
  AlignedBuffer<u8> bytes(rows * columns);
  for (u32 r = 0; r < rows; ++r)
    for (u32 c = 0; c < columns; ++c) bytes[r * columns + c] = static_cast<u8>(16 * r + first + c);
  p.bytes = std::make_shared<const AlignedBuffer<u8>>(std::move(bytes));
  return p;
}

Job job_for(const MatrixPlan& plan, Clock::time_point now) {
  remo::MaskedTensor tensor;
  tensor.matrix = 5;
  tensor.rows = 3;
  return {plan, tensor, now + kLater};
}

void check_whole(const Job& job, const std::vector<u32>& by) {
  BOOST_TEST_REQUIRE(job.complete());
  const WorkerProduct whole = job.joined();
  const WorkerProduct expected = product(3, 0, 4);
  BOOST_TEST(whole.cols == 4U);
  BOOST_TEST(whole.bytes->span() == expected.bytes->span(), boost::test_tools::per_element());
  std::vector<u32> senders;
  for (const SentPart& part : job.parts()) senders.push_back(part.node);
  BOOST_TEST(senders == by, boost::test_tools::per_element());
}

} // namespace

BOOST_AUTO_TEST_SUITE(job)

BOOST_AUTO_TEST_CASE(shards_are_put_side_by_side_whatever_order_they_come_in) {
  const MatrixPlan plan = two_shards();
  const auto now = Clock::now();
  Job job = job_for(plan, now);
  BOOST_TEST(job.assign(0, 0, now + kLater));
  BOOST_TEST(job.assign(1, 1, now + kLater));
  BOOST_TEST(job.open_shards().empty());
  job.answer(1, product(3, 2, 2));
  BOOST_TEST(!job.complete());
  job.answer(0, product(3, 0, 2));
  check_whole(job, {0, 1});
}

BOOST_AUTO_TEST_CASE(a_node_that_holds_several_shards_is_asked_once) {
  const MatrixPlan plan = two_shards();
  const auto now = Clock::now();
  Job job = job_for(plan, now);
  BOOST_TEST(job.assign(0, 2, now + kLater));
  BOOST_TEST(!job.assign(1, 2, now + kLater));
  job.answer(2, product(3, 0, 4));
  check_whole(job, {2, 2});
}

BOOST_AUTO_TEST_CASE(a_lost_node_opens_its_shard_again_and_counts_as_a_failure) {
  const MatrixPlan plan = two_shards();
  const auto now = Clock::now();
  Job job = job_for(plan, now);
  job.assign(0, 0, now + kLater);
  job.assign(1, 1, now + kLater);
  job.release(1, "gone");
  job.release(1, "gone"); // it owes nothing any more
  BOOST_TEST(job.failures() == 1U);
  BOOST_TEST(job.open_shards() == std::vector<std::size_t>{1}, boost::test_tools::per_element());
  BOOST_TEST(job.assign(1, 2, now + kLater));
  job.answer(2, product(3, 0, 4)); // it holds the first shard too: nobody waits for node 0
  check_whole(job, {2, 2});
  job.answer(0, product(3, 0, 2));
  check_whole(job, {2, 2});
}

BOOST_AUTO_TEST_CASE(a_late_node_is_named_once_asked_last_and_still_welcome) {
  const MatrixPlan plan = two_shards();
  const auto now = Clock::now();
  Job job = job_for(plan, now);
  job.assign(0, 0, now);
  job.assign(1, 1, now + kLater);
  BOOST_TEST(job.overdue(now) == std::vector<u32>{0}, boost::test_tools::per_element());
  BOOST_TEST(job.overdue(now).empty());
  BOOST_TEST(job.candidates(0).front().node == 3U);
  BOOST_TEST(job.candidates(0).back().node == 0U);
  BOOST_TEST(job.assign(0, 3, now + kLater));
  job.answer(0, product(3, 0, 2));
  job.answer(1, product(3, 2, 2));
  check_whole(job, {0, 1});
}

BOOST_AUTO_TEST_CASE(an_excluded_node_is_neither_asked_nor_believed) {
  const MatrixPlan plan = two_shards();
  const auto now = Clock::now();
  Job job = job_for(plan, now);
  job.exclude(2);
  job.exclude(1);
  BOOST_TEST(job.candidates(1).empty());
  BOOST_TEST(job.candidates(0).size() == 2U);
  job.answer(2, product(3, 0, 4));
  BOOST_TEST(!job.complete());
}

BOOST_AUTO_TEST_CASE(whoever_failed_before_is_asked_after_the_others) {
  const MatrixPlan plan = two_shards();
  const auto now = Clock::now();
  Job job = job_for(plan, now);
  const auto order = [&](const std::function<u32(u32)>& failures) {
    std::vector<u32> nodes;
    for (const Holder& holder : job.candidates(0, failures)) nodes.push_back(holder.node);
    return nodes;
  };
  const auto nobody = [](u32) { return 0U; };
  const auto first = [](u32 node) { return node == 0 ? 5U : 0U; };
  BOOST_TEST(order(nobody) == (std::vector<u32>{0, 3, 2}), boost::test_tools::per_element());
  BOOST_TEST(order(first) == (std::vector<u32>{3, 2, 0}), boost::test_tools::per_element());
  job.assign(0, 3, now + kLater);
  job.release(3, "gone"); // of this very question: last of all
  BOOST_TEST(order(first) == (std::vector<u32>{2, 0, 3}), boost::test_tools::per_element());
  BOOST_TEST(job.assign(0, 3, now + kLater)); // it may be back
}

BOOST_AUTO_TEST_CASE(whoever_will_not_answer_costs_no_retry_and_is_not_asked_again) {
  const MatrixPlan plan = two_shards();
  const auto now = Clock::now();
  Job job = job_for(plan, now);
  job.assign(0, 0, now + kLater);
  job.assign(1, 1, now + kLater);
  job.expel(0, "worker 'a' refused");
  BOOST_TEST(job.failures() == 0U);
  BOOST_TEST(job.last_failure() == "worker 'a' refused");
  BOOST_TEST(job.open_shards() == std::vector<std::size_t>{0}, boost::test_tools::per_element());
  BOOST_TEST(job.candidates(0).front().node == 3U);
  BOOST_TEST(job.candidates(0).size() == 2U);
  job.assign(0, 3, now + kLater);
  job.answer(0, product(3, 0, 2)); // what it says now does not count
  BOOST_TEST(job.open_shards().empty());
  job.answer(3, product(3, 0, 2));
  job.answer(1, product(3, 2, 2));
  check_whole(job, {3, 1});
}

BOOST_AUTO_TEST_CASE(right_shards_of_a_wrong_product_are_kept) {
  const MatrixPlan plan = two_shards();
  const auto now = Clock::now();
  WorkerProduct wrong = product(3, 0, 4);
  AlignedBuffer<u8> bytes(wrong.bytes->size());
  std::copy(wrong.bytes->begin(), wrong.bytes->end(), bytes.begin());
  bytes[4] ^= 1; // row 1, column 0
  wrong.bytes = std::make_shared<const AlignedBuffer<u8>>(std::move(bytes));
  Job job = job_for(plan, now);
  job.keep(wrong, {{1, 2, 2}});
  job.exclude(0);
  BOOST_TEST(job.open_shards() == std::vector<std::size_t>{0}, boost::test_tools::per_element());
  BOOST_TEST(job.assign(0, 3, now + kLater));
  job.answer(3, product(3, 0, 2));
  check_whole(job, {3, 1});
}

BOOST_AUTO_TEST_CASE(weights_are_asked_for_of_one_shard) {
  MatrixPlan plan{5,
                  "layers.1.o",
                  4,
                  256,
                  {{0, 128, {{0, 0, 128}, {2, 0, 256}}}, {128, 128, {{1, 128, 128}, {2, 0, 256}}}}};
  const auto request = within_one_shard(plan, {5, 3, 9});
  BOOST_TEST_REQUIRE(request.has_value());
  BOOST_TEST(request->first == 3U);
  BOOST_TEST(request->count == 1U);
  BOOST_TEST(within_one_shard(plan, {5, 0, 9})->count == 2U);
  BOOST_TEST(!within_one_shard(plan, {5, 4, 1}).has_value());
  Job job(plan, *request, Clock::now() + kLater);
  BOOST_TEST(job.open_shards() == std::vector<std::size_t>{1}, boost::test_tools::per_element());
  job.assign(1, 2, Clock::now() + kLater);
  job.answer(2, remo::WeightPanels{5, 3, 1, nullptr});
  BOOST_TEST_REQUIRE(job.complete());
  BOOST_TEST(job.panels().first == 2U);
  BOOST_TEST(job.panels().second.first == 3U);
}

BOOST_AUTO_TEST_CASE(another_plan_keeps_what_is_under_way_and_opens_what_nobody_in_it_has) {
  const MatrixPlan plan = two_shards();
  const MatrixPlan next{5, "layers.1.o", 3, 4, {{0, 2, {{0, 0, 2}}}, {2, 2, {{7, 2, 2}}}}};
  const auto now = Clock::now();
  Job job = job_for(plan, now);
  job.assign(0, 0, now + kLater);
  job.assign(1, 1, now + kLater);
  job.replan(next); // node 1 has left
  BOOST_TEST(job.awaits(0));
  BOOST_TEST(!job.awaits(1));
  BOOST_TEST(job.open_shards() == std::vector<std::size_t>{1}, boost::test_tools::per_element());
  BOOST_TEST(!job.assign(0, 0, now + kLater)); // asked already
  BOOST_TEST(job.assign(1, 7, now + kLater));
  job.answer(7, product(3, 2, 2));
  job.answer(0, product(3, 0, 2));
  check_whole(job, {0, 7});
}

BOOST_AUTO_TEST_CASE(right_parts_of_a_wrong_product_outlast_another_cut) {
  const MatrixPlan plan = two_shards();
  const MatrixPlan quarters{
      5, "layers.1.o", 3, 4, {{0, 1, {{4, 0, 1}}}, {1, 2, {{5, 1, 2}}}, {3, 1, {{6, 3, 1}}}}};
  const auto now = Clock::now();
  Job job = job_for(plan, now);
  job.keep(product(3, 0, 4), {{1, 2, 2}});
  job.replan(quarters); // columns 1 and 2 are one shard, of which half is right
  BOOST_TEST(job.open_shards() == (std::vector<std::size_t>{0, 1}),
             boost::test_tools::per_element());
  job.assign(0, 4, now + kLater);
  job.assign(1, 5, now + kLater);
  job.answer(5, product(3, 1, 2));
  job.answer(4, product(3, 0, 1));
  check_whole(job, {4, 5, 1});
}

BOOST_AUTO_TEST_CASE(weights_under_another_plan_are_asked_for_anew_and_not_beyond_its_shards) {
  const MatrixPlan plan{5, "layers.1.o", 4, 256, {{0, 256, {{0, 0, 256}}}}};
  const MatrixPlan halves{
      5, "layers.1.o", 4, 256, {{0, 128, {{1, 0, 128}}}, {128, 128, {{2, 128, 128}}}}};
  Job job(plan, remo::WeightRequest{5, 1, 3}, Clock::now() + kLater);
  job.assign(0, 0, Clock::now() + kLater);
  job.replan(halves);
  BOOST_TEST(!job.awaits(0));
  BOOST_TEST(job.open_shards() == std::vector<std::size_t>{0}, boost::test_tools::per_element());
  BOOST_TEST(std::get<remo::WeightRequest>(job.question()).count == 1U);
}

// Any order of questions, answers, losses and plans gives the product, and says who gave what.
BOOST_DATA_TEST_CASE(a_product_is_whole_whatever_plans_it_went_through,
                     boost::unit_test::data::xrange(200U), seed) {
  auto rng = seeded_rng(seed, 5);
  constexpr u64 kColumns = 12;
  std::map<u32, Holder> nodes; // what a node holds never changes
  const auto random_plan = [&] {
    MatrixPlan plan{5, "layers.1.o", 3, kColumns, {}};
    std::vector<Holder> holders;
    for (u64 first = 0; first < kColumns;) {
      const u64 count = 1 + rng.below(kColumns - first);
      for (u64 copy = 1 + rng.below(2); copy > 0; --copy)
        holders.push_back({static_cast<u32>(nodes.size() + holders.size()), first, count});
      first += count;
    }
    for (const auto& [number, holder] : nodes)
      if (rng.below(3) == 0) holders.push_back(holder); // it stays
    for (const Holder& holder : holders) nodes.emplace(holder.node, holder);
    std::set<u64> cuts{0, kColumns};
    for (const Holder& holder : holders) {
      cuts.insert(holder.first_column);
      cuts.insert(holder.first_column + holder.columns);
    }
    for (auto cut = cuts.begin(); std::next(cut) != cuts.end(); ++cut) {
      Shard shard{*cut, *std::next(cut) - *cut, {}};
      for (const Holder& holder : holders)
        if (holder.first_column <= *cut && *std::next(cut) <= holder.first_column + holder.columns)
          shard.holders.push_back(holder);
      plan.shards.push_back(shard);
    }
    return plan;
  };
  std::list<MatrixPlan> plans{random_plan()};
  const auto now = Clock::now();
  Job job = job_for(plans.back(), now);
  if (rng.below(2) == 0)
    job.keep(product(3, 0, kColumns), {{1000, rng.below(6), 1 + rng.below(6)}});
  std::set<u32> asked;
  while (!job.complete()) {
    const auto open = job.open_shards();
    if (!open.empty() && rng.below(4) != 0) {
      const std::size_t shard = open[rng.below(open.size())];
      const auto candidates = job.candidates(shard);
      const u32 node = candidates[rng.below(candidates.size())].node;
      if (job.assign(shard, node, now + kLater)) asked.insert(node);
    } else if (rng.below(6) == 0) {
      plans.push_back(random_plan());
      job.replan(plans.back());
    } else if (!asked.empty()) {
      const u32 node = *std::next(asked.begin(), static_cast<long>(rng.below(asked.size())));
      asked.erase(node);
      if (!job.awaits(node)) continue; // it has left: nobody listens to it
      if (rng.below(5) == 0)
        job.release(node, "gone");
      else
        job.answer(node, product(3, static_cast<u32>(nodes.at(node).first_column),
                                 static_cast<u32>(nodes.at(node).columns)));
    }
  }
  const WorkerProduct expected = product(3, 0, kColumns);
  BOOST_TEST(job.joined().bytes->span() == expected.bytes->span(),
             boost::test_tools::per_element());
  u64 next = 0;
  for (const SentPart& part : job.parts()) {
    BOOST_TEST(part.first_column == next);
    next += part.columns;
    const bool is_kept = part.node == 1000;
    BOOST_TEST(
        (is_kept || (nodes.at(part.node).first_column <= part.first_column &&
                     next <= nodes.at(part.node).first_column + nodes.at(part.node).columns)));
  }
  BOOST_TEST(next == kColumns);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::cluster
