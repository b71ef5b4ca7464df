#include <boost/test/unit_test.hpp>

#include <cmath>

#include "core/error.hpp"
#include "remo/bounds.hpp"

using namespace talaria;
using namespace talaria::remo;

namespace {

LinearBounds bounds_of(const char* set, std::size_t d_in, double norm) {
  return linear_bounds(lattice_parameters(set), "layers.0.down", d_in, norm);
}
double worst(std::size_t d_in) {
  return 127 * std::sqrt(static_cast<double>(d_in));
}

} // namespace

BOOST_AUTO_TEST_SUITE(bounds)

BOOST_AUTO_TEST_CASE(the_numbers_of_the_default_set_are_those_of_the_design) {
  struct Row {
    std::size_t d_in;
    double norm;
    int delta_bits;
    double log2_limit;
    double precision;
  };
  for (const Row& row : {Row{4096, 2520, 18, 17.7, 13.5}, Row{14336, 4396, 19, 15.9, 10.8},
                         Row{32768, 6188, 19, 15.4, 9.7}}) {
    const LinearBounds b = bounds_of("S48", row.d_in, row.norm);
    BOOST_TEST(b.delta_bits == row.delta_bits, row.d_in);
    BOOST_TEST(std::fabs(std::log2(b.activation_norm) - row.log2_limit) < 0.06, row.d_in);
    BOOST_TEST(std::fabs(b.precision_bits - row.precision) < 0.06, row.d_in);
  }
}

BOOST_AUTO_TEST_CASE(worst_case_precision_of_every_set_is_that_of_the_design) {
  struct Row {
    const char* set;
    std::size_t d_in;
    double precision;
  };
  for (const Row& row : {Row{"S40", 1024, 5.8}, Row{"S46", 1024, 10.8}, Row{"S46", 4096, 8.8},
                         Row{"S46", 14336, 6.0}, Row{"S48", 1024, 12.8}, Row{"S48", 4096, 9.8},
                         Row{"S48", 8192, 8.8}, Row{"S48", 14336, 8.0}, Row{"S48", 32768, 5.8},
                         Row{"S54", 1024, 18.8}, Row{"S54", 4096, 16.8}, Row{"S54", 14336, 14.0},
                         Row{"S54", 32768, 11.8}})
    BOOST_TEST(std::fabs(bounds_of(row.set, row.d_in, worst(row.d_in)).precision_bits -
                         row.precision) < 0.06,
               row.set << " " << row.d_in << ": "
                       << bounds_of(row.set, row.d_in, worst(row.d_in)).precision_bits);
}

BOOST_AUTO_TEST_CASE(precision_of_rounded_words_is_that_of_the_design) {
  struct Row {
    const char* set;
    std::size_t d_in;
    double norm;
    bool rounded;
    int delta_bits;
    double precision;
  };
  for (const Row& row :
       {Row{"R48", 1024, 1464, true, 14, 11.3}, Row{"R48", 2048, 1950, true, 14, 10.4},
        Row{"R48", 4096, 2520, true, 14, 9.5}, Row{"R48", 8192, 3340, false, 19, 11.6},
        Row{"R48", 14336, 4396, false, 19, 10.8}, Row{"R43", 1024, 1464, true, 14, 11.3},
        Row{"R43", 2048, 1950, true, 15, 9.4}, Row{"R43", 4096, 2520, true, 15, 8.5},
        Row{"R43", 8192, 3340, true, 15, 7.6}, Row{"R43", 14336, 4396, true, 16, 5.8}}) {
    const LinearBounds b = bounds_of(row.set, row.d_in, row.norm);
    BOOST_TEST(b.rounded == row.rounded, row.set << " " << row.d_in);
    BOOST_TEST(b.delta_bits == row.delta_bits, row.set << " " << row.d_in);
    BOOST_TEST(std::fabs(b.precision_bits - row.precision) < 0.06,
               row.set << " " << row.d_in << ": " << b.precision_bits);
  }
}

BOOST_AUTO_TEST_CASE(a_matrix_is_rounded_unless_words_of_q_are_needed_and_help) {
  for (const char* name : {"R48", "R43"}) {
    LatticeParameters set = lattice_parameters(name);
    LatticeParameters unrounded = set;
    unrounded.p = 0;
    for (const std::size_t d_in : {64u, 1024u, 4096u, 8192u})
      for (double norm = 100; norm < worst(d_in) / 2; norm *= 1.1) {
        const LinearBounds b = linear_bounds(set, "x", d_in, norm);
        const LinearBounds full = linear_bounds(unrounded, "x", d_in, norm);
        if (b.rounded)
          BOOST_TEST((b.precision_bits >= 9 || b.precision_bits > full.precision_bits - 0.51));
        else
          BOOST_TEST((b.delta_bits == full.delta_bits && b.noise == full.noise &&
                      b.activation_norm == full.activation_norm));
        BOOST_TEST(words_of(set, b).modulus.q == (b.rounded ? set.p : set.q));
      }
  }
}

BOOST_AUTO_TEST_CASE(noise_and_range_leave_room_for_each_other) {
  for (const LatticeParameters& set : kAcceptedParameters)
    for (const std::size_t d_in : {1u, 3u, 17u, 256u, 1024u})
      for (const double norm : {0.0, 1.0, 50.0, worst(d_in)}) {
        const LinearBounds b = linear_bounds(set, "x", d_in, norm);
        const double delta = std::ldexp(1.0, b.delta_bits);
        const double q = static_cast<double>(words_of(set, b).modulus.q);
        BOOST_TEST(b.noise < delta / 2);
        BOOST_TEST(2 * (2 * b.noise + 2) > delta); // no bit is wasted
        BOOST_TEST(delta * b.activation_norm * norm + b.noise <= q / 2 - 0.5);
        BOOST_TEST(delta * b.activation_norm < q / 2);
        BOOST_TEST(b.activation_norm <= std::ldexp(1.0, 29));
        BOOST_TEST(b.noise > q / (2 * static_cast<double>(set.reply_modulus)));
      }
}

BOOST_AUTO_TEST_CASE(a_matrix_beyond_the_parameters_is_refused_with_the_numbers) {
  const auto says = [](const char* text) {
    return [text](const Error& error) {
      return error.code() == Errc::bounds &&
             std::string(error.what()).find(text) != std::string::npos;
    };
  };
  const auto refused = [&] { bounds_of("S40", 8192, worst(8192)); };
  for (const char* part : {"layers.0.down", "S40", "q = 1099511480321", "d_in = 8192",
                           "column norm 11494.7", "Delta = 2^20", "precision 0.8 bits", "larger q"})
    BOOST_CHECK_EXCEPTION(refused(), Error, says(part));
  BOOST_CHECK_EXCEPTION(bounds_of("S54", 1u << 17, 100), Error, says("131072 inputs"));
  BOOST_CHECK_EXCEPTION(bounds_of("S54", 0, 100), Error, says("0 inputs"));
  BOOST_CHECK_NO_THROW(bounds_of("S54", (1u << 17) - 1, 100));
}

BOOST_AUTO_TEST_CASE(only_listed_parameters_are_accepted) {
  BOOST_TEST(lattice_parameters("S48").q == kDefaultParameters.q);
  BOOST_CHECK_EXCEPTION(lattice_parameters("S47"), Error, [](const Error& error) {
    return error.code() == Errc::config &&
           std::string(error.what()).find("S48, S46, S40, S54, R48, R43") != std::string::npos;
  });
  for (const LatticeParameters& set : kAcceptedParameters) {
    BOOST_TEST(set.core_svp_bits >= 128);
    BOOST_TEST(set.q % (2 * set.n) == 1u);
    BOOST_TEST(&lattice_parameters(set.name) == &set);
  }
}

BOOST_AUTO_TEST_SUITE_END()
