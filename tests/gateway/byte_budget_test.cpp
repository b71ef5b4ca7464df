// A budget of memory is one for the process, whichever threads have used it.
#include "gateway/byte_budget.hpp"

#include <unistd.h>

#include <atomic>
#include <barrier>
#include <boost/test/unit_test.hpp>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "gateway/api_error.hpp"
#include "gateway/client_json.hpp"

namespace talaria::tests {

using gateway::ApiError;
using gateway::ByteBudget;
using gateway::parse_client_json;

BOOST_AUTO_TEST_SUITE(byte_budget)

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) // they keep what is freed

static std::size_t resident_bytes() {
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> pages;
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

// Each thread has memory of its own from the allocator, and would keep the 28 MB it once needed.
BOOST_AUTO_TEST_CASE(the_budget_holds_for_memory_that_threads_have_freed_as_well) {
  constexpr std::ptrdiff_t kThreads = 12;
  std::string text = "[{}";
  while (text.size() < 2'000'000) text += ",{}";
  text += "]";
  ByteBudget budget(text.size() * 14);
  std::barrier all_parsed(kThreads + 1), all_seen(kThreads + 1);
  std::atomic<int> refused{0};
  const std::size_t before = resident_bytes();
  std::vector<std::thread> threads;
  for (std::ptrdiff_t i = 0; i < kThreads; ++i)
    threads.emplace_back([&] {
      try {
        parse_client_json(text, &budget);
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

#endif

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::tests
