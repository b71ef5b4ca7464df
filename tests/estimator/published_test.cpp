// The estimator against figures that others have published (docs/protocol.md, Security estimates).
#include <array>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <ostream>
#include <vector>

#include "estimator/lwe_attacks.hpp"

namespace talaria::estimator {

namespace {

namespace bdata = boost::unit_test::data;

struct Published {
  const char* name;
  double dimension, q, variance, samples;
  u32 block;        ///< of the primal attack
  u32 block_within; ///< the sources differ by so much among themselves
  double core;      ///< primal, bits
  double core_within;
  double dual; ///< bits; 0: none published by the same method
  double gates;
  friend std::ostream& operator<<(std::ostream& out, const Published& p) { return out << p.name; }
};

// Round 3 submission of Kyber and the estimates of NIST's forum; FrodoKEM, whose figure counts
// another log2 b; NewHope and BCNS as in ePrint 2015/1092.
const std::vector<Published> kPublished{
    {"Kyber512", 512, 3329, 1.5, 768, 406, 0, 118, 1, 115.5, 143.8},
    {"Kyber768", 768, 3329, 1, 1024, 625, 1, 182.5, 1, 173.7, 204.9},
    {"Kyber1024", 1024, 3329, 1, 1280, 878, 5, 256, 1, 0, 0},
    {"NewHope1024", 1024, 12289, 4, 2047, 886, 2, 259, 1, 0, 0},
    {"BCNS", 1024, 4294967296.0, 3.192 * 3.192, 2047, 296, 0, 86, 1, 86, 0},
};

Lwe instance_of(const Published& p) {
  Lwe lwe;
  lwe.dimension = p.dimension;
  lwe.log2_q = std::log2(p.q);
  lwe.secret_sigma = lwe.error_sigma = std::sqrt(p.variance);
  lwe.samples = p.samples;
  return lwe;
}

void check_within(double value, double published, double tolerance) {
  BOOST_TEST(std::abs(value - published) <= tolerance,
             value << " is not within " << tolerance << " of " << published);
}

/// The largest whole log2 q that leaves `bits` of security.
u32 largest_log2_q(double dimension, CostModel model, double bits, bool ternary) {
  u32 low = 8;
  u32 high = 300;
  while (low < high) {
    const u32 middle = (low + high + 1) / 2;
    Lwe lwe;
    lwe.dimension = dimension;
    lwe.log2_q = middle;
    lwe.error_sigma = 3.19;
    lwe.secret_sigma = ternary ? std::sqrt(2.0 / 3) : 3.19;
    if (ternary) lwe.secret_entropy = std::log2(3.0);
    if (cheapest_attack(lwe, model).bits >= bits)
      low = middle;
    else
      high = middle - 1;
  }
  return low;
}

struct Standard {
  double bits;
  CostModel model;
  bool ternary;
  double dimension;
  double guidelines_2024; ///< largest log2 q; 0: not given
  double standard_2018;
  friend std::ostream& operator<<(std::ostream& out, const Standard& s) {
    return out << s.bits << " bits" << (s.ternary ? " ternary" : "") << ", n " << s.dimension;
  }
};

const std::vector<Standard> kStandards{
    {128, CostModel::bdgl, true, 1024, 26, 27},   {128, CostModel::bdgl, true, 2048, 53, 54},
    {128, CostModel::bdgl, true, 4096, 107, 109}, {128, CostModel::bdgl, false, 1024, 29, 29},
    {128, CostModel::bdgl, false, 2048, 55, 56},  {128, CostModel::bdgl, false, 4096, 109, 111},
    {192, CostModel::bdgl, false, 2048, 38, 39},  {192, CostModel::bdgl, false, 4096, 75, 77},
    {256, CostModel::bdgl, false, 2048, 30, 31},  {256, CostModel::bdgl, false, 4096, 59, 60},
    {128, CostModel::lmp, true, 1024, 25, 0},     {128, CostModel::lmp, true, 2048, 50, 0},
    {128, CostModel::lmp, true, 4096, 101, 0},    {128, CostModel::lmp, false, 1024, 27, 0},
    {128, CostModel::lmp, false, 2048, 53, 0},    {128, CostModel::lmp, false, 4096, 103, 0},
};

} // namespace

BOOST_DATA_TEST_CASE(block_sizes_and_costs_agree_with_the_schemes_submissions,
                     bdata::make(kPublished), published) {
  const Lwe lwe = instance_of(published);
  const auto primal = primal_attack(lwe, CostModel::core);
  BOOST_TEST_REQUIRE(primal.has_value());
  check_within(primal->block, published.block, published.block_within);
  check_within(primal->bits, published.core, published.core_within);
  if (published.dual > 0) check_within(dual_attack(lwe, CostModel::core).bits, published.dual, 2);
  if (published.gates > 0)
    check_within(primal_attack(lwe, CostModel::gates)->bits, published.gates, 0.1);
}

BOOST_AUTO_TEST_CASE(frodo640_agrees_in_its_own_convention) {
  Lwe lwe;
  lwe.dimension = 640;
  lwe.log2_q = 15;
  lwe.secret_sigma = lwe.error_sigma = 2.8;
  lwe.samples = 648;
  const auto primal = primal_attack(lwe, CostModel::core);
  BOOST_TEST_REQUIRE(primal.has_value());
  check_within(primal->bits + std::log2(primal->block), 150.8, 0.1);
}

BOOST_DATA_TEST_CASE(largest_moduli_agree_with_the_fhe_standard, bdata::make(kStandards),
                     standard) {
  const double ours =
      largest_log2_q(standard.dimension, standard.model, standard.bits, standard.ternary);
  check_within(ours, standard.guidelines_2024, standard.bits == 192 ? 2 : 1);
  if (standard.standard_2018 > 0) check_within(ours, standard.standard_2018, 1);
}

BOOST_AUTO_TEST_CASE(more_dimensions_are_harder_and_larger_moduli_easier) {
  for (const CostModel model : kCostModels) {
    Lwe lwe;
    lwe.dimension = 1024;
    lwe.log2_q = 32;
    const double here = cheapest_attack(lwe, model).bits;
    Lwe longer = lwe;
    longer.dimension = 1100;
    Lwe wider = lwe;
    wider.log2_q = 35;
    BOOST_TEST(cheapest_attack(longer, model).bits > here);
    BOOST_TEST(cheapest_attack(wider, model).bits < here);
  }
}

BOOST_AUTO_TEST_CASE(a_modulus_without_structure_to_attack_has_no_primal_attack) {
  Lwe lwe; // one sample tells nothing
  lwe.dimension = 1024;
  lwe.log2_q = 12;
  lwe.samples = 1;
  BOOST_TEST(!primal_attack(lwe, CostModel::core).has_value());
}

} // namespace talaria::estimator
