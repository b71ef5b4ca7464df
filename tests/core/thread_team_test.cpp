#include "core/thread_team.hpp"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <future>
#include <stdexcept>
#include <thread>
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

BOOST_AUTO_TEST_CASE(the_time_of_a_teams_own_threads_is_told) {
  ThreadTeam alone(1);
  BOOST_TEST(alone.cpu_seconds() == 0);
  ThreadTeam team(2);
  const auto self = std::this_thread::get_id();
  std::atomic<bool> enough{false};
  team.parallel_for(2, 1, [&](std::size_t, std::size_t) { // one piece each: both wait for the end
    while (!enough) {
      if (std::this_thread::get_id() == self) enough = team.cpu_seconds() > 1e-3;
    }
  });
  const double before = team.cpu_seconds();
  BOOST_TEST(before > 1e-3);
  BOOST_TEST(team.cpu_seconds() >= before);
}

BOOST_AUTO_TEST_CASE(who_finds_the_team_at_work_works_alone) {
  ThreadTeam team(3);
  std::promise<void> begun;
  std::promise<void> go_on;
  std::thread busy([&] {
    team.parallel_for(2, 1, [&](std::size_t begin, std::size_t) {
      if (begin != 0) return;
      begun.set_value();
      go_on.get_future().wait();
    });
  });
  begun.get_future().wait();
  std::vector<int> runs(7);
  bool here = true;
  const auto self = std::this_thread::get_id();
  team.parallel_for_if_free(runs.size(), 2, [&](std::size_t begin, std::size_t end) {
    here = here && std::this_thread::get_id() == self && end - begin <= 2;
    for (std::size_t i = begin; i < end; ++i) ++runs[i];
  });
  go_on.set_value(); // until here the team was at work: waiting for it would never have ended
  busy.join();
  BOOST_TEST(here);
  BOOST_TEST(runs == std::vector<int>(7, 1), boost::test_tools::per_element());

  std::vector<std::atomic<int>> shared(100);
  team.parallel_for_if_free(shared.size(), 3, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) ++shared[i];
  });
  for (const auto& n : shared) BOOST_TEST(n.load() == 1);
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
