#include "core/thread_priority.hpp"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

namespace talaria {

namespace {
constexpr int kNicer = 7; ///< levels; each is a quarter less of the processor
constexpr int kNicest = 19;
} // namespace

void work_in_background() noexcept {
  const sched_param none{};
  sched_setscheduler(0, SCHED_BATCH, &none); // of this thread; it then never preempts on waking
  const auto thread = static_cast<id_t>(gettid());
  const int now = getpriority(PRIO_PROCESS, thread);
  setpriority(PRIO_PROCESS, thread, std::min(now + kNicer, kNicest));
}

} // namespace talaria
