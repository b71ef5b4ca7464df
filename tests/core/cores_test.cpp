#include "core/cores.hpp"

#include <sched.h>

#include <boost/test/unit_test.hpp>
#include <thread>

#include "core/error.hpp"

namespace talaria {

BOOST_AUTO_TEST_CASE(lists_of_processors_are_numbers_and_ranges) {
  BOOST_TEST(parse_cores("0") == std::vector<unsigned>{0}, boost::test_tools::per_element());
  BOOST_TEST(parse_cores("8,0-2,1") == (std::vector<unsigned>{0, 1, 2, 8}),
             boost::test_tools::per_element());
  for (const char* wrong : {"", ",", "a", "1-", "-1", "3-1", "0,", "0 1", "0-3-5", "99999", "1;2"})
    BOOST_CHECK_EXCEPTION(parse_cores(wrong), Error, [wrong](const Error& error) {
      return error.code() == Errc::usage &&
             std::string(error.what()).find('"' + std::string(wrong) + '"') == 0;
    });
}

BOOST_AUTO_TEST_CASE(threads_inherit_the_processors_and_missing_ones_are_refused) {
  // In a thread of its own: the test program keeps all of its processors.
  std::thread([] {
    cpu_set_t all;
    BOOST_TEST_REQUIRE(sched_getaffinity(0, sizeof all, &all) == 0);
    unsigned one = 0;
    while (!CPU_ISSET(one, &all)) ++one;
    run_on_cores({one});
    std::thread([one] {
      cpu_set_t mine;
      BOOST_TEST_REQUIRE(sched_getaffinity(0, sizeof mine, &mine) == 0);
      BOOST_TEST((CPU_COUNT(&mine) == 1 && CPU_ISSET(one, &mine)));
    }).join();
    BOOST_CHECK_THROW(run_on_cores({one, 1023}), Error);
  }).join();
}

} // namespace talaria
