#include "cli/bench_report.hpp"

#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>

namespace talaria::cli {

namespace {

const auto kClose = boost::test_tools::tolerance(1e-9);

/// 1000 bytes of weights, 200 of them in the head; the machine reads 100 kB/s and makes 1 MOPS.
BenchReport report() {
  BenchReport out;
  out.model.weight_bytes = 1000;
  out.model.head_bytes = 200;
  out.machine.read_bytes_per_s = 100'000;
  out.machine.int8_ops_per_s = 1'000'000;
  BenchResult plain;
  plain.scheme = "plain";
  plain.limbs = 1;
  plain.decode_tokens_per_s = 50;
  plain.prefill_tokens_per_s = 100;
  BenchResult lattice = plain;
  lattice.scheme = "lattice";
  lattice.limbs = 6;
  lattice.decode_tokens_per_s = 40;
  lattice.mask_stalls = 3;
  lattice.prefill_tokens_per_s = 25;
  out.results = {plain, lattice};
  return out;
}

} // namespace

BOOST_AUTO_TEST_SUITE(bench_report)

BOOST_AUTO_TEST_CASE(shares_compare_with_plain_and_with_the_machine) {
  const BenchReport bench = report();
  const BenchShares shares = shares_of(bench, bench.results[1]);
  BOOST_TEST(*shares.decode_over_plain == 0.8, kClose);
  BOOST_TEST(*shares.prefill_over_plain == 0.25, kClose);
  BOOST_TEST(shares.weight_bytes_per_token == 1000.0, kClose);
  BOOST_TEST(shares.operations_per_token == 12'000.0, kClose);
  BOOST_TEST(*shares.read_share == 0.4, kClose);          // 40 kB/s of 100
  BOOST_TEST(*shares.decode_int8_share == 0.48, kClose);  // 480 kOPS of 1000
  BOOST_TEST(*shares.prefill_int8_share == 0.24, kClose); // without the head
}

BOOST_AUTO_TEST_CASE(a_batch_reads_its_weights_once) {
  BenchReport bench = report();
  bench.results[1].batch = 8;
  const BenchShares shares = shares_of(bench, bench.results[1]);
  BOOST_TEST(shares.weight_bytes_per_token == 125.0, kClose);
  BOOST_TEST(shares.operations_per_token == 12'000.0, kClose);
  BOOST_TEST(!shares.decode_over_plain.has_value()); // nothing of the same batch size
}

BOOST_AUTO_TEST_CASE(what_other_machines_do_is_not_compared_with_this_one) {
  BenchReport bench = report();
  bench.results[1].on_this_machine = false;
  const BenchShares shares = shares_of(bench, bench.results[1]);
  BOOST_TEST(!shares.read_share.has_value());
  BOOST_TEST(!shares.decode_int8_share.has_value());
  BOOST_TEST(shares.decode_over_plain.has_value());
}

BOOST_AUTO_TEST_CASE(floating_point_products_have_no_int8_share) {
  BenchReport bench = report();
  bench.results[1].limbs = 0;
  const BenchShares shares = shares_of(bench, bench.results[1]);
  BOOST_TEST(shares.read_share.has_value());
  BOOST_TEST(!shares.prefill_int8_share.has_value());
  BOOST_TEST(to_json(bench).at("results").at(1).at("decode_share_of_int8_rate").is_null());
}

BOOST_AUTO_TEST_CASE(stalls_of_decoding_are_in_the_figures) {
  const auto json = to_json(report());
  BOOST_TEST(json.at("results").at(0).at("mask_stalls").get<int>() == 0);
  BOOST_TEST(json.at("results").at(1).at("mask_stalls").get<int>() == 3);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::cli
