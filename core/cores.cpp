#include "core/cores.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <charconv>

#include "core/error.hpp"

namespace talaria {

namespace {

constexpr unsigned kMax = CPU_SETSIZE; ///< processors that one mask holds

Error not_a_list(const std::string& list) {
  return Error(Errc::usage,
               fmt::format("\"{}\" is no list of processors; write it as 0-3,8", list));
}

/// The number at `at`, which moves behind it.
unsigned take_number(const std::string& list, const char*& at) {
  unsigned number = 0;
  const auto [end, error] = std::from_chars(at, list.data() + list.size(), number);
  if (error != std::errc() || number >= kMax) throw not_a_list(list);
  at = end;
  return number;
}

} // namespace

std::vector<unsigned> parse_cores(const std::string& list) {
  std::vector<unsigned> cores;
  const char* at = list.data();
  const char* const end = at + list.size();
  for (;;) {
    const unsigned first = take_number(list, at);
    unsigned last = first;
    if (at != end && *at == '-') last = take_number(list, ++at);
    if (last < first) throw not_a_list(list);
    for (unsigned core = first; core <= last; ++core) cores.push_back(core);
    if (at == end) break;
    if (*at++ != ',') throw not_a_list(list);
  }
  std::sort(cores.begin(), cores.end());
  cores.erase(std::unique(cores.begin(), cores.end()), cores.end());
  return cores;
}

void run_on_cores(const std::vector<unsigned>& cores) {
  cpu_set_t wanted;
  cpu_set_t granted;
  CPU_ZERO(&wanted);
  for (const unsigned core : cores) CPU_SET(core, &wanted);
  if (sched_setaffinity(0, sizeof wanted, &wanted) == 0 &&
      sched_getaffinity(0, sizeof granted, &granted) == 0 && CPU_EQUAL(&wanted, &granted))
    return;
  cpu_set_t all;
  CPU_ZERO(&all);
  sched_getaffinity(0, sizeof all, &all);
  throw Error(Errc::usage, fmt::format("this process may run on {} processors, but not on all of "
                                       "those asked for; see nproc and /proc/self/status",
                                       CPU_COUNT(&all)));
}

} // namespace talaria
