// A budget of memory is one for the process, whichever threads have used it.
#include "gateway/byte_budget.hpp"

#include <unistd.h>

#include <atomic>
#include <barrier>
#include <boost/test/unit_test.hpp>
#include <fstream>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gateway/api_error.hpp"
#include "gateway/client_json.hpp"
#include "gateway/one_arena.hpp"

namespace talaria::tests {

using gateway::ApiError;
using gateway::ByteBudget;
using gateway::OneArena;
using gateway::parse_client_json;

BOOST_AUTO_TEST_SUITE(byte_budget)

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) // they keep what is freed

static std::size_t resident_bytes() {
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> pages;
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

// Each thread has an arena of the allocator, which would keep the 28 MB that it once needed.
static void expect_no_arena_keeps_what_it_took(ByteBudget* budget, const std::string& text) {
  constexpr std::ptrdiff_t kThreads = 12;
  std::barrier all_parsed(kThreads + 1), all_seen(kThreads + 1);
  std::atomic<int> refused{0};
  const std::size_t before = resident_bytes();
  std::vector<std::thread> threads;
  for (std::ptrdiff_t i = 0; i < kThreads; ++i)
    threads.emplace_back([&] {
      try {
        parse_client_json(text, budget);
      } catch (const ApiError&) {
        ++refused; // only after 28 MB of it
      }
      all_parsed.arrive_and_wait();
      all_seen.arrive_and_wait();
    });
  all_parsed.arrive_and_wait();
  const std::size_t after = resident_bytes();
  all_seen.arrive_and_wait();
  for (std::thread& each : threads) each.join();
  BOOST_TEST(refused == kThreads);
  BOOST_TEST(after < before + (std::size_t{96} << 20));
}

BOOST_AUTO_TEST_CASE(the_budget_holds_for_memory_that_threads_have_freed_as_well) {
  std::string text = "[{}";
  while (text.size() < 2'000'000) text += ",{}";
  text += "]";
  ByteBudget budget(text.size() * 14);
  expect_no_arena_keeps_what_it_took(&budget, text);
  expect_no_arena_keeps_what_it_took(nullptr, text); // nor where nothing is given to the system
}

#endif

BOOST_AUTO_TEST_CASE(one_arena_works_on_one_thread_for_all_who_ask) {
  OneArena arena;
  std::mutex mutex;
  std::set<std::thread::id> seen;
  std::vector<std::thread> askers;
  for (int i = 0; i < 8; ++i)
    askers.emplace_back([&] {
      arena.run([&] {
        const std::lock_guard lock(mutex);
        seen.insert(std::this_thread::get_id());
      });
    });
  for (std::thread& each : askers) each.join();
  BOOST_TEST(seen.size() == 1U);
  BOOST_TEST((seen.count(std::this_thread::get_id()) == 0));
  BOOST_CHECK_EXCEPTION(arena.run([] { throw ApiError(400, "no"); }), ApiError,
                        [](const ApiError& error) { return error.what() == std::string("no"); });
  int done = 0;
  arena.run([&done] { ++done; }); // goes on behind an error
  BOOST_TEST(done == 1);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::tests
