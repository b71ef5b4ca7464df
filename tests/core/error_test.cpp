#include "core/error.hpp"

#include <boost/test/unit_test.hpp>
#include <memory>

namespace talaria {

BOOST_AUTO_TEST_CASE(every_code_has_the_documented_exit_status) {
  BOOST_TEST(exit_status(Errc::usage) == 2);
  BOOST_TEST(exit_status(Errc::config) == 2);
  BOOST_TEST(exit_status(Errc::io) == 2);
  BOOST_TEST(exit_status(Errc::model) == 3);
  BOOST_TEST(exit_status(Errc::bounds) == 3);
  BOOST_TEST(exit_status(Errc::no_worker) == 4);
  BOOST_TEST(exit_status(Errc::verification) == 5);
  BOOST_TEST(exit_status(Errc::cancelled) == 130);
}

BOOST_AUTO_TEST_CASE(a_result_holds_a_value_or_throws_its_error) {
  Result<std::unique_ptr<int>> good(std::make_unique<int>(7));
  BOOST_TEST_REQUIRE(bool(good));
  BOOST_TEST(*std::move(good).value() == 7);
  Result<int> bad(Error(Errc::verification, "matrix 3: not the product"));
  BOOST_TEST_REQUIRE(!bad);
  BOOST_CHECK_THROW(std::move(bad).value(), Error);
  BOOST_TEST(bool(Result<void>()));
}

} // namespace talaria
