#include "audit/statistics.hpp"

#include <array>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <vector>

#include "audit/modular_solve.hpp"
#include "core/random.hpp"
#include "remo/public/parameters.hpp"

namespace talaria::audit {

using boost::test_tools::tolerance;

BOOST_AUTO_TEST_CASE(tails_are_those_of_the_tables) {
  BOOST_TEST(binomial_upper_tail(0, 10, 0.3) == 1.0);
  BOOST_TEST(binomial_upper_tail(10, 10, 0.5) == std::pow(0.5, 10), tolerance(1e-9));
  BOOST_TEST(binomial_upper_tail(3, 4, 0.5) == 5.0 / 16, tolerance(1e-9));
  BOOST_TEST(chi_squared_upper_tail(3.841, 1) == 0.05, tolerance(1e-3));
  BOOST_TEST(chi_squared_upper_tail(82.529, 63) == 0.05, tolerance(1e-3));
  BOOST_TEST(normal_two_sided(-1.959964) == 0.05, tolerance(1e-5));
  BOOST_TEST(normal_upper_tail(3.090232) == 0.001, tolerance(1e-5));
}

BOOST_AUTO_TEST_CASE(intervals_are_those_of_clopper_and_pearson) {
  const Interval none = clopper_pearson(0, 10);
  BOOST_TEST(none.low == 0.0);
  BOOST_TEST(none.high == 0.3085, tolerance(1e-3));
  const Interval half = clopper_pearson(5, 10);
  BOOST_TEST(half.low == 0.1871, tolerance(1e-3));
  BOOST_TEST(half.high == 0.8129, tolerance(1e-3));
  BOOST_TEST(clopper_pearson(10, 10).high == 1.0);
  BOOST_TEST(clopper_pearson(0, 0).high == 1.0);
}

BOOST_AUTO_TEST_CASE(chi_squared_accepts_what_is_expected_and_refuses_what_cannot_be) {
  const std::array<double, 3> probabilities{0.5, 0.5, 0};
  const std::array<std::size_t, 3> even{500, 500, 0};
  const std::array<std::size_t, 3> uneven{700, 300, 0};
  const std::array<std::size_t, 3> impossible{500, 499, 1};
  BOOST_TEST(chi_squared(even, probabilities).p_value == 1.0);
  BOOST_TEST(chi_squared(even, probabilities).degrees == 1.0);
  BOOST_TEST(chi_squared(uneven, probabilities).p_value < 1e-30);
  BOOST_TEST(chi_squared(impossible, probabilities).p_value == 0.0);
}

BOOST_AUTO_TEST_CASE(the_smallest_of_many_is_corrected_for_their_number) {
  BOOST_TEST(smallest_of(0.01, 1) == 0.01, tolerance(1e-9));
  BOOST_TEST(smallest_of(0.01, 100) == 1 - std::pow(0.99, 100), tolerance(1e-9));
  BOOST_TEST(smallest_of(1e-20, 50) == 5e-19, tolerance(1e-6));
  BOOST_TEST(smallest_of(0, 5) == 0.0);
}

BOOST_AUTO_TEST_CASE(systems_modulo_q_are_solved_and_singular_ones_told) {
  constexpr std::size_t n = 40;
  auto rng = seeded_rng(3);
  for (const auto& parameters : remo::kAcceptedParameters) {
    const kernels::Modulus q = parameters.modulus();
    std::vector<u64> matrix(n * n), x(n), y(n);
    for (u64& entry : matrix) entry = rng.below(q.q);
    matrix[0] = 0; // a pivot has to be looked for
    for (u64& entry : x) entry = rng.below(q.q);
    for (std::size_t r = 0; r < n; ++r)
      for (std::size_t c = 0; c < n; ++c) y[r] = q.add(y[r], q.mul(matrix[r * n + c], x[c]));
    const auto found = solve_modular(matrix, y, q);
    BOOST_TEST_REQUIRE(found.has_value());
    BOOST_TEST(*found == x, boost::test_tools::per_element());
    std::copy_n(matrix.begin(), n, matrix.begin() + n); // two equal rows
    BOOST_TEST(!solve_modular(matrix, y, q).has_value());
  }
}

} // namespace talaria::audit
