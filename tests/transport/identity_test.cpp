#include <boost/test/unit_test.hpp>

#include "tests/transport/link_fixture.hpp"

using namespace talaria;
using namespace talaria::tests;

namespace {

/// The difference after `change` to what the worker holds.
template <class Change>
std::string difference(Change&& change) {
  Identity held = identity_of("gpu-a");
  change(held);
  return first_difference(identity_of("enclave"), held).value_or("nothing");
}

} // namespace

BOOST_AUTO_TEST_SUITE(identity)

BOOST_AUTO_TEST_CASE(names_and_devices_may_differ) {
  BOOST_TEST(difference([](Identity& i) {
               i.software = "other 2";
               i.device = "cuda:0";
               i.weight_bytes = 1;
             }) == "nothing");
}

BOOST_AUTO_TEST_CASE(each_field_that_matters_is_named) {
  BOOST_TEST(difference([](Identity& i) { i.weights = "int16"; }) ==
             "weights: this side int8, worker gpu-a int16");
  BOOST_TEST(difference([](Identity& i) { i.parameters = ""; }) ==
             "parameters: this side S48, worker gpu-a nothing");
  BOOST_TEST(difference([](Identity& i) { i.modulus = 97; }) ==
             "modulus: this side 281474976694273, worker gpu-a 97");
  BOOST_TEST(difference([](Identity& i) { i.rounded_modulus = 97; }) ==
             "rounded_modulus: this side 0, worker gpu-a 97");
  BOOST_TEST(difference([](Identity& i) { i.dimension = 1; }) ==
             "dimension: this side 2304, worker gpu-a 1");
  BOOST_TEST(difference([](Identity& i) { i.layers = 3; }) ==
             "layers: this side 2, worker gpu-a 3");
  BOOST_TEST(difference([](Identity& i) { i.public_seed[0] = 1; }) ==
             "public_seed: this side 090909090909…, worker gpu-a 010909090909…");
}

BOOST_AUTO_TEST_CASE(matrices_must_be_held_with_the_same_shape_and_digest) {
  const auto change = [](auto&& field) {
    return difference([&](Identity& i) { field(i.matrices[0]); });
  };
  BOOST_TEST(contains(change([](HeldMatrix& m) { m.d_in = 1; }), "matrix 7: this side 96 x 160"));
  BOOST_TEST(contains(change([](HeldMatrix& m) { m.columns = 1; }), "matrix 7"));
  BOOST_TEST(contains(change([](HeldMatrix& m) { m.first_column = 64; }), "columns 64+160"));
  BOOST_TEST(contains(change([](HeldMatrix& m) { m.column_count = 64; }), "columns 0+64"));
  BOOST_TEST(contains(change([](HeldMatrix& m) { (*m.digest)[31] = 1; }), "matrix 7: digest"));
  BOOST_TEST(contains(change([](HeldMatrix& m) { m.matrix = 8; }), "does not hold it"));
  BOOST_TEST(contains(difference([](Identity& i) { i.matrices.clear(); }), "does not hold it"));
}

BOOST_AUTO_TEST_CASE(an_unknown_digest_and_further_matrices_are_no_difference) {
  BOOST_TEST(difference([](Identity& i) { i.matrices[0].digest.reset(); }) == "nothing");
  BOOST_TEST(difference([](Identity& i) {
               i.matrices.push_back({99, 1, 1, 0, 1, {}});
             }) == "nothing");
}

BOOST_AUTO_TEST_CASE(the_newest_common_protocol_is_used) {
  const auto range = [](u32 oldest, u32 newest) {
    Identity i = identity_of("x");
    i.protocol_oldest = oldest;
    i.protocol_newest = newest;
    return i;
  };
  BOOST_TEST((common_protocol(range(1, 1), range(1, 7)) == 1u));
  BOOST_TEST((common_protocol(range(2, 5), range(1, 4)) == 4u));
  BOOST_TEST((common_protocol(range(2, 2), range(1, 1)) == std::nullopt));
  BOOST_TEST(difference([](Identity& i) {
               i.protocol_oldest = 3;
               i.protocol_newest = 4;
             }) == "protocol: this side 1 to 2, worker gpu-a 3 to 4");
}

BOOST_AUTO_TEST_CASE(the_worker_tells_it_from_its_side) {
  Identity held = identity_of("gpu-a");
  held.layers = 9;
  BOOST_TEST(first_difference_for_worker(identity_of("bank"), held).value_or("") ==
             "layers: enclave bank 2, this side 9");
}

BOOST_AUTO_TEST_SUITE_END()
