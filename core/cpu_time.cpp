#include "core/cpu_time.hpp"

#include <pthread.h>
#include <time.h>

namespace talaria {

namespace {

double seconds_on(clockid_t clock) noexcept {
  timespec time{};
  if (::clock_gettime(clock, &time) != 0) return 0;
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

} // namespace

double process_cpu_seconds() noexcept {
  return seconds_on(CLOCK_PROCESS_CPUTIME_ID);
}

double thread_cpu_seconds() noexcept {
  return seconds_on(CLOCK_THREAD_CPUTIME_ID);
}

double cpu_seconds_of(std::thread& thread) noexcept {
  clockid_t clock{};
  return ::pthread_getcpuclockid(thread.native_handle(), &clock) == 0 ? seconds_on(clock) : 0;
}

} // namespace talaria
