#include "core/process_hardening.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "core/machine_memory.hpp"
#include "core/secret.hpp"

namespace talaria {

namespace {

constexpr int kCapIpcLock = 14; ///< linux/capability.h

/// The effective capabilities of this process; 0 if the kernel does not say.
unsigned long long effective_capabilities() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("CapEff:")) return std::strtoull(line.c_str() + 7, nullptr, 16);
  return 0;
}

bool may_lock_without_limit(const rlimit& limit) {
  return limit.rlim_cur == RLIM_INFINITY || (effective_capabilities() >> kCapIpcLock & 1) != 0;
}

std::string limit_text(const rlimit& limit) {
  return limit.rlim_cur == RLIM_INFINITY ? "unlimited"
                                         : std::to_string(limit.rlim_cur >> 10) + " KiB";
}

} // namespace

void guard_standard_descriptors() noexcept {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) != -1 || errno != EBADF) continue;
    // The lowest free number is this one. The wrong direction makes every use an error.
    const int opened = ::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    if (opened != fd) std::_Exit(70); // without /dev/null nothing may be opened at all
  }
}

void harden_process() noexcept {
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::prctl(PR_SET_DUMPABLE, 0);
  std::signal(SIGPIPE, SIG_IGN);
}

MemoryLock lock_process_memory(const std::filesystem::path& root) {
  rlimit limit{};
  ::getrlimit(RLIMIT_MEMLOCK, &limit);
  if (may_lock_without_limit(limit) && ::mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0)
    return {true, {}};
  if (swap_of_machine(root) == 0) return {};
  return {false, "memory cannot be locked (limit of locked memory: " + limit_text(limit) +
                     ") and this machine swaps, so what the enclave holds may reach a disk; turn "
                     "swap off (swapoff -a), or raise the limit (LimitMEMLOCK=infinity, ulimit -l "
                     "unlimited)"};
}

void hide_arguments(int argc, char** argv, std::span<const std::string_view> flags) noexcept {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word(argv[i]);
    for (const std::string_view flag : flags) {
      if (word == flag && i + 1 < argc) {
        wipe(argv[i + 1], std::strlen(argv[i + 1]));
      } else if (word.starts_with(flag) && word.substr(flag.size()).starts_with('=')) {
        const std::size_t value = flag.size() + 1;
        wipe(argv[i] + value, word.size() - value);
      }
    }
  }
}

void hide_plain_arguments(int argc, char** argv) noexcept {
  for (int i = 2; i < argc; ++i)
    if (argv[i][0] != '-') wipe(argv[i], std::strlen(argv[i]));
}

} // namespace talaria
