#include <boost/test/unit_test.hpp>

#include <string>

#include "tests/settings/config_fixture.hpp"

using namespace talaria;
using tests::ConfigFolder;
using tests::kTls;

namespace {

std::string workers(const std::string& list) {
  return "model: model\n" + std::string(kTls) + "workers:\n" + list;
}

/// The message of check_layer_count; empty if it has nothing to say.
std::string count_complaint(const ConfigFolder& folder, const std::string& list, u32 layers) {
  try {
    config::check_layer_count(folder.parse(workers(list)), layers);
  } catch (const Error& error) {
    return error.code() == Errc::config ? folder.shortened(error.what()) : "not a config error";
  }
  return {};
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(shares, ConfigFolder)

BOOST_AUTO_TEST_CASE(complete_shares_of_the_same_layers_are_one_placement) {
  const auto config = parse(workers("  - { name: a, address: a:1, layers: 0-3, columns: 2/2 }\n"
                                    "  - { name: b, address: b:1, layers: 0-3, columns: 1/2 }\n"
                                    "  - { name: c, address: c:1, layers: 4-5, columns: 1/1 }\n"));
  BOOST_TEST((config.workers.at(0).columns == ColumnShare{1, 2})); // counted from 0
  BOOST_TEST((config.workers.at(1).columns == ColumnShare{0, 2}));
  BOOST_TEST((config.workers.at(2).columns == ColumnShare{0, 1}));
}

BOOST_AUTO_TEST_CASE(a_missing_share_is_named) {
  BOOST_TEST(complaint(workers("  - { name: a, address: a:1, layers: all, columns: 2/4 }\n"
                               "  - { name: b, address: b:1, layers: all, columns: 4/4 }\n")) ==
             "F:4:52: workers[0].columns: is 2/4; expected a primary worker of the same layers for "
             "1/4, 3/4 too");
}

BOOST_AUTO_TEST_CASE(a_share_held_twice_is_named_with_its_holder) {
  BOOST_TEST(complaint(workers("  - { name: a, address: a:1, layers: all, columns: 1/2 }\n"
                               "  - { name: b, address: b:1, layers: all, columns: 2/2 }\n"
                               "  - { name: c, address: c:1, layers: all, columns: 1/2 }\n")) ==
             "F:6:52: workers[2].columns: 1/2 is the share of 'a' in line 4 already; expected each "
             "share on one primary worker");
}

BOOST_AUTO_TEST_CASE(layers_cut_in_two_ways_overlap) {
  const std::string found =
      complaint(workers("  - { name: a, address: a:1, layers: 0-1, columns: 1/2 }\n"
                        "  - { name: b, address: b:1, layers: 0-1, columns: 2/2 }\n"
                        "  - { name: c, address: c:1, layers: 0-1 }\n"));
  BOOST_TEST(found == "F:6:38: workers[2].layers: 0-1 overlaps the layers 0-1 of 'a' in line 4; "
                      "expected each layer on one primary worker");
}

BOOST_AUTO_TEST_CASE(shares_that_cannot_be_read_are_the_only_problem_named) {
  for (const char* share : {"0/2", "3/2", "1", "1/", "/2", "1/65", "one/two", "-1/2"})
    BOOST_TEST(
        complaint(workers("  - { name: a, address: a:1, layers: 0, columns: " + std::string(share) +
                          " }\n  - { name: b, address: b:1, layers: 1 }\n")) ==
        "F:4:50: workers[0].columns: is '" + std::string(share) +
            "'; expected I/N with 1 <= I <= N <= 64");
}

BOOST_AUTO_TEST_CASE(a_replica_may_hold_a_share_of_its_primaries) {
  const std::string primaries = "  - { name: a, address: a:1, layers: all, columns: 1/2 }\n"
                                "  - { name: b, address: b:1, layers: all, columns: 2/2 }\n";
  const auto replica = [&](const std::string& rest) {
    return complaint(
        workers(primaries + "  - { name: c, address: c:1, role: replica, " + rest + " }\n"));
  };
  BOOST_TEST(replica("layers: 2-3, columns: 1/2") == "");
  BOOST_TEST(replica("layers: all") == "");
  BOOST_TEST(replica("layers: all, columns: 1/3") ==
             "F:6:67: workers[2].columns: is 1/3, but the primary workers of its layers are cut "
             "otherwise; expected their shares, or replicas for 2/3, 3/3 too");
}

BOOST_AUTO_TEST_CASE(replicas_may_complete_each_other) {
  const std::string list =
      "  - { name: a, address: a:1, layers: all }\n"
      "  - { name: b, address: b:1, layers: all, columns: 1/2, role: replica }\n"
      "  - { name: c, address: c:1, layers: all, columns: 2/2, role: replica }\n";
  BOOST_TEST(complaint(workers(list)) == "");
}

BOOST_AUTO_TEST_CASE(one_address_belongs_to_one_worker) {
  BOOST_TEST(
      complaint(workers("  - { name: a, address: \"[::1]:1\", layers: 0 }\n"
                        "  - { name: b, address: \"[::1]:1\", layers: 1 }\n")) ==
      "F:5:25: workers[1].address: '[::1]:1' is the address of the worker in line 4 already; "
      "expected an address of its own");
}

BOOST_AUTO_TEST_CASE(layers_are_compared_with_the_model) {
  const std::string list = "  - { name: a, address: a:1, layers: 0-2 }\n"
                           "  - { name: b, address: b:1, layers: 3-5 }\n"
                           "  - { name: c, address: c:1, layers: all, role: replica }\n";
  BOOST_TEST(count_complaint(*this, list, 6) == "");
  BOOST_TEST(count_complaint(*this, list, 5) ==
             "F:5:38: workers[1].layers: is 3-5; expected layers of the model, which has 0-4");
  BOOST_TEST(count_complaint(*this, list, 8) ==
             "F:4:1: workers: no primary worker holds layers 6-7; expected one for each of 0-7");
  BOOST_TEST(count_complaint(*this, "  - { name: a, address: a:1, layers: all }\n", 99) == "");
}

BOOST_AUTO_TEST_CASE(a_file_without_workers_fits_any_model) {
  config::check_layer_count(parse("model: model\n"), 3);
}

BOOST_AUTO_TEST_SUITE_END()
