#include "gateway/readiness.hpp"

#include <boost/test/unit_test.hpp>

namespace talaria::gateway {

namespace {

std::vector<pipeline::WorkerReport> workers(std::initializer_list<const char*> states) {
  std::vector<pipeline::WorkerReport> reports;
  for (const char* state : states) {
    reports.emplace_back();
    reports.back().state = state;
  }
  return reports;
}

/// Two matrices: one on node 0 or its replica 2, the other with its halves on nodes 0 and 1.
cluster::PlacementPlan plan() {
  cluster::MatrixPlan whole;
  whole.shards = {{0, 64, {{0, 0, 64}, {2, 0, 64}}}};
  cluster::MatrixPlan halves;
  halves.shards = {{0, 32, {{0, 0, 32}, {2, 0, 64}}}, {32, 32, {{1, 32, 32}}}};
  return {whole, halves};
}

} // namespace

BOOST_AUTO_TEST_SUITE(readiness)

BOOST_AUTO_TEST_CASE(every_part_of_every_matrix_needs_one_ready_worker) {
  const auto ready = [](std::initializer_list<const char*> states) {
    return every_layer_is_ready(plan(), workers(states));
  };
  BOOST_TEST(ready({"ready", "ready", "connecting"}));
  BOOST_TEST(ready({"quarantined", "ready", "ready"}));
  BOOST_TEST(!ready({"quarantined", "ready", "connecting"}));
  BOOST_TEST(!ready({"ready", "connecting", "ready"}));
  BOOST_TEST(!ready({}));
}

BOOST_AUTO_TEST_CASE(an_embedded_worker_is_enough_for_everything) {
  BOOST_TEST(every_layer_is_ready({}, workers({"ready"})));
  BOOST_TEST(!every_layer_is_ready({}, workers({})));
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::gateway
