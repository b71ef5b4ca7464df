#include "audit/toy_lattice.hpp"

#include <boost/test/unit_test.hpp>

#include "core/error.hpp"
#include "core/random.hpp"
#include "remo/public/parameters.hpp"

namespace talaria::audit {

namespace {

constexpr std::size_t kTokens = 500;
constexpr int kDeltaBits = 18;

/// Rows as large as those of a model, one per token.
Matrix<i32> random_vocabulary(std::size_t inputs) {
  auto rng = seeded_rng(77);
  Matrix<i32> out(kTokens, inputs);
  for (std::size_t i = 0; i < kTokens * inputs; ++i)
    out.data()[i] = static_cast<i32>(rng.below(20'001)) - 10'000;
  return out;
}

AttackResult attack(const ToyLattice& toy, std::size_t inputs,
                    const remo::LatticeParameters& parameters = remo::kDefaultParameters) {
  return attack_toy(toy, parameters.modulus(), kDeltaBits, random_vocabulary(inputs));
}

} // namespace

BOOST_AUTO_TEST_CASE(reduced_kernel_vectors_open_every_row_of_a_toy) {
  for (const auto& parameters : remo::kAcceptedParameters) {
    const AttackResult result = attack({24, true, 16}, 40, parameters);
    BOOST_TEST(result.top1 == 16U, parameters.name << ": " << result.remark);
    BOOST_TEST(result.top10 == 16U);
    BOOST_TEST(result.p_value < 1e-30);
    BOOST_TEST(!result.judges);
  }
}

BOOST_AUTO_TEST_CASE(kernel_vectors_open_nothing_before_they_are_reduced) {
  const AttackResult result = attack({24, false, 64}, 40);
  BOOST_TEST(result.rows == 64U);
  BOOST_TEST(result.top1 <= 4U);
  BOOST_TEST(result.p_value > 1e-6);
}

// With as many unknowns as inputs every kernel vector is a multiple of q and tells nothing: a row
// of a model whose inputs are fewer than the dimension cannot be attacked on its own.
BOOST_AUTO_TEST_CASE(a_row_with_no_more_inputs_than_unknowns_stays_closed) {
  const AttackResult result = attack({32, true, 64}, 32);
  BOOST_TEST(result.top1 == 0U);
  BOOST_TEST(result.top10 == 0U);
}

BOOST_AUTO_TEST_CASE(the_attack_is_the_same_for_the_same_seed) {
  const AttackResult a = attack({24, false, 8, 5}, 40);
  const AttackResult b = attack({24, false, 8, 5}, 40);
  BOOST_TEST(a.remark == b.remark);
  BOOST_TEST(a.top10 == b.top10);
}

BOOST_AUTO_TEST_CASE(more_unknowns_than_inputs_are_refused) {
  BOOST_CHECK_THROW(attack({33, true, 1}, 32), Error);
}

} // namespace talaria::audit
