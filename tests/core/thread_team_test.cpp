#include "core/thread_team.hpp"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <stdexcept>
#include <vector>

namespace talaria {

BOOST_AUTO_TEST_CASE(every_iteration_runs_exactly_once) {
  for (const std::size_t threads : {1U, 2U, 5U}) {
    ThreadTeam team(threads);
    for (const std::size_t count : {0U, 1U, 2U, 7U, 64U, 1000U})
      for (const std::size_t grain : {1U, 3U, 64U}) {
        std::vector<std::atomic<int>> runs(count);
        team.parallel_for(count, grain, [&](std::size_t begin, std::size_t end) {
          for (std::size_t i = begin; i < end; ++i) ++runs[i];
        });
        for (const auto& n : runs) BOOST_TEST(n.load() == 1);
      }
  }
}

BOOST_AUTO_TEST_CASE(callers_on_several_threads_take_turns) {
  ThreadTeam team(3);
  std::atomic<int> total{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c)
    callers.emplace_back([&] {
      for (int i = 0; i < 50; ++i)
        team.parallel_for(20, 1, [&](std::size_t begin, std::size_t end) {
          total += static_cast<int>(end - begin);
        });
    });
  for (auto& caller : callers) caller.join();
  BOOST_TEST(total.load() == 4 * 50 * 20);
}

BOOST_AUTO_TEST_CASE(an_exception_reaches_the_caller_and_the_team_goes_on) {
  ThreadTeam team(2);
  BOOST_CHECK_THROW(team.parallel_for(100, 1,
                                      [](std::size_t begin, std::size_t) {
                                        if (begin == 57) throw std::runtime_error("57");
                                      }),
                    std::runtime_error);
  std::atomic<int> total{0};
  team.parallel_for(100, 1, [&](std::size_t, std::size_t) { ++total; });
  BOOST_TEST(total.load() == 100);
}

} // namespace talaria
