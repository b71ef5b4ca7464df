#include "core/process_hardening.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "core/secret.hpp"

namespace talaria {

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
