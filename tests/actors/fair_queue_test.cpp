// Enclaves take turns at a worker: however much one of them asks, the others' questions are not
// kept waiting behind all of it. Orders are counted, never times.
#include "actors/worker/fair_queue.hpp"

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <caf/all.hpp>
#include <future>
#include <map>
#include <set>

#include "actors/worker/worker_actor.hpp"
#include "core/random.hpp"
#include "model/weights/quantized.hpp"
#include "remo/public/public_matrix.hpp"

namespace talaria::worker {

namespace {

using remo::MaskedTensor;

EnclaveId enclave(u8 number) {
  EnclaveId id{};
  id[0] = number;
  return id;
}

Waiting tensor_of(const EnclaveId& who, u32 matrix, u32 rows, u64 cost) {
  MaskedTensor tensor;
  tensor.matrix = matrix;
  tensor.rows = rows;
  return {who, tensor, nullptr, cost};
}

Waiting hint_of(const EnclaveId& who, u32 first, u64 cost) {
  return {who, remo::HintRequest{0, first, 1}, nullptr, cost};
}

} // namespace

BOOST_AUTO_TEST_SUITE(fair_queue)

BOOST_AUTO_TEST_CASE(one_enclave_alone_is_served_in_order) {
  FairQueue queue;
  for (u32 i = 0; i < 100; ++i) queue.push(hint_of(enclave(1), i, 1 + i % 7));
  for (u32 i = 0; i < 100; ++i) {
    const auto group = queue.take();
    BOOST_TEST_REQUIRE(group.size() == 1U);
    BOOST_TEST(std::get<remo::HintRequest>(group[0].question).first == i);
  }
  BOOST_TEST(queue.empty());
}

BOOST_AUTO_TEST_CASE(a_flood_of_one_enclave_keeps_another_waiting_for_one_question) {
  FairQueue queue;
  for (u32 i = 0; i < 1000; ++i) queue.push(tensor_of(enclave(1), i, 1, 10));
  for (u32 i = 0; i < 5; ++i) queue.push(tensor_of(enclave(2), 5000 + i, 1, 10));
  std::vector<u8> order;
  while (order.size() < 10) order.push_back(queue.take()[0].enclave[0]);
  BOOST_TEST(order == (std::vector<u8>{1, 2, 1, 2, 1, 2, 1, 2, 1, 2}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(turns_are_shared_by_cost_and_not_by_number) {
  FairQueue queue; // one asks for prompts of 256 rows, the other for rows of single tokens
  for (u32 i = 0; i < 20; ++i) queue.push(tensor_of(enclave(1), 100 + i, 256, 256));
  for (u32 i = 0; i < 5000; ++i) queue.push(tensor_of(enclave(2), 1000 + i, 1, 1));
  u64 served[3] = {};
  for (int i = 0; i < 2000; ++i)
    for (const Waiting& item : queue.take()) served[item.enclave[0]] += item.cost;
  BOOST_TEST(served[1] > 0U);
  BOOST_TEST(served[2] > 0U);
  const u64 apart = std::max(served[1], served[2]) - std::min(served[1], served[2]);
  BOOST_TEST(apart <= 2 * 256U);
}

BOOST_AUTO_TEST_CASE(rows_of_one_matrix_go_together_whoever_asks_and_each_pays_for_its_own) {
  FairQueue queue;
  for (u32 i = 0; i < 40; ++i) queue.push(tensor_of(enclave(1), 3, 1, 10));
  for (u32 i = 0; i < 40; ++i) queue.push(tensor_of(enclave(2), 3, 1, 10));
  queue.push(tensor_of(enclave(3), 4, 1, 10));
  const auto group = queue.take();
  BOOST_TEST(group.size() == FairQueue::kJoinRows);
  BOOST_TEST(std::count_if(group.begin(), group.end(),
                           [](const Waiting& item) { return item.enclave == enclave(2); }) == 24);
  BOOST_TEST(queue.take()[0].enclave[0] == 3); // it alone has had nothing yet
}

// Backlogged enclaves are never further apart than the largest questions are.
BOOST_DATA_TEST_CASE(nobody_gets_ahead_by_more_than_the_largest_questions,
                     boost::unit_test::data::xrange(20U), seed) {
  auto rng = seeded_rng(seed, 41);
  constexpr u64 kMost = 500;
  FairQueue queue;
  const std::size_t enclaves = 2 + rng.below(5);
  u32 number = 0;
  for (std::size_t e = 0; e < enclaves; ++e)
    for (int i = 0; i < 400; ++i)
      queue.push(hint_of(enclave(static_cast<u8>(e)), number++,
                         rng.below(2) == 0 ? 1 + rng.below(10) : 1 + rng.below(kMost)));
  std::vector<u64> served(enclaves);
  std::vector<std::size_t> left(enclaves, 400);
  std::set<u32> seen;
  while (!queue.empty()) {
    const auto group = queue.take();
    BOOST_TEST_REQUIRE(group.size() == 1U);
    const u8 who = group[0].enclave[0];
    served[who] += group[0].cost;
    --left[who];
    BOOST_TEST_REQUIRE(seen.insert(std::get<remo::HintRequest>(group[0].question).first).second);
    if (std::all_of(left.begin(), left.end(), [](std::size_t n) { return n > 0; })) {
      const auto [least, most] = std::minmax_element(served.begin(), served.end());
      BOOST_TEST_REQUIRE(*most - *least <= 3 * kMost);
    }
  }
  BOOST_TEST(seen.size() == 400 * enclaves);
}

// The same through the worker: it is busy with one question while everything else arrives.
BOOST_AUTO_TEST_CASE(a_worker_answers_enclaves_in_turn_and_keeps_an_account_of_each) {
  constexpr std::size_t kInputs = 64;
  constexpr u32 kMatrices = 3;
  auto rng = seeded_rng(7, 7);
  auto engine =
      std::make_shared<ProductEngine>(remo::kDefaultParameters, remo::public_matrix_seed(), 1);
  for (u32 m = 0; m < kMatrices; ++m) {
    model::QuantizedLinear linear;
    linear.id = {m};
    linear.d_in = kInputs;
    linear.d_out = 64;
    linear.columns = kernels::PackedWeights(kInputs, 64);
    for (std::size_t i = 0; i < kInputs; ++i)
      for (std::size_t j = 0; j < 64; ++j)
        linear.columns.at(i, j) = static_cast<i8>(static_cast<int>(rng.below(255)) - 127);
    engine->add(std::move(linear));
  }
  caf::actor_system_config config;
  config.set("scheduler.max-threads", std::size_t{1});
  caf::actor_system system(config);
  const auto ledger = std::make_shared<WorkerLedger>();
  const auto worker = spawn_worker(system, engine, ledger);

  std::promise<void> begun;
  std::promise<void> go_on;
  const std::shared_future<void> released = go_on.get_future().share();
  caf::anon_send(worker, Incoming{remo::WeightRequest{0, 0, 1},
                                  [&begun, released](const Reply&) {
                                    begun.set_value();
                                    released.wait();
                                  },
                                  enclave(9)});
  begun.get_future().wait();
  std::vector<u8> order; // of the worker's thread, until the last answer
  std::promise<void> done;
  const auto ask = [&](u8 who, u32 matrix, std::size_t last) {
    AlignedBuffer<u8> words(
        kInputs * static_cast<std::size_t>(remo::kDefaultParameters.modulus().word_bytes));
    std::fill(words.begin(), words.end(), u8{0});
    MaskedTensor tensor{matrix, remo::ProductKind::residues, 1, kInputs,
                        std::make_shared<const AlignedBuffer<u8>>(std::move(words))};
    caf::anon_send(worker,
                   Incoming{tensor,
                            [&order, &done, who, last](const Reply& reply) {
                              BOOST_CHECK(std::holds_alternative<remo::WorkerProduct>(reply));
                              order.push_back(who);
                              if (order.size() == last) done.set_value();
                            },
                            enclave(who)});
  };
  constexpr std::size_t kFlood = 60;
  constexpr std::size_t kFew = 4;
  for (std::size_t i = 0; i < kFlood; ++i) ask(1, i % 2, kFlood + kFew); // alternating: some join
  for (std::size_t i = 0; i < kFew; ++i) ask(2, 2, kFlood + kFew);
  go_on.set_value();
  done.get_future().wait();
  // One group of the flood, which is the rows of one of its matrices, then all of the other.
  const auto first = std::find(order.begin(), order.end(), u8{2});
  BOOST_TEST(std::distance(order.begin(), first) == 30);
  BOOST_TEST(std::count(first, first + kFew, u8{2}) == static_cast<long>(kFew));

  const auto accounts = ledger->by_enclave();
  BOOST_TEST(accounts.at(enclave(1)).rows == kFlood);
  BOOST_TEST(accounts.at(enclave(2)).rows == kFew);
  BOOST_TEST(accounts.at(enclave(2)).multiplications == kFew * kInputs * 64);
  BOOST_TEST(ledger->totals().rows == kFlood + kFew);
  caf::anon_send_exit(worker, caf::exit_reason::user_shutdown);
}

BOOST_AUTO_TEST_CASE(an_account_is_kept_of_so_many_enclaves_and_of_those_that_asked_last) {
  WorkerLedger ledger;
  for (std::size_t i = 0; i < WorkerLedger::kEnclaves + 10; ++i) {
    EnclaveId id{};
    id[0] = static_cast<u8>(i);
    id[1] = static_cast<u8>(i >> 8);
    ledger.count(id, 1);
    ledger.count(enclave(200), 1);
  }
  const auto accounts = ledger.by_enclave();
  BOOST_TEST(accounts.size() == WorkerLedger::kEnclaves);
  BOOST_TEST(accounts.contains(enclave(200)));
  BOOST_TEST(!accounts.contains(enclave(0)));
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::worker
