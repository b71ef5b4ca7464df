#include "launch/child_process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "core/error.hpp"

namespace talaria::launch {
namespace {

constexpr int kFirstFree = 3;

/// An exec failure travels back through a pipe that a successful exec closes.
struct ExecFailure {
  int error = 0;
};

std::string program_path(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  const char* path = std::getenv("PATH");
  std::string folders = path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin";
  for (std::size_t at = 0; at <= folders.size();) {
    const std::size_t end = std::min(folders.find(':', at), folders.size());
    const auto candidate = std::filesystem::path(folders.substr(at, end - at)) / name;
    if (end > at && ::access(candidate.c_str(), X_OK) == 0) return candidate.string();
    at = end + 1;
  }
  throw Error(Errc::config, fmt::format("'{}' is not in PATH; install it or name it with its "
                                        "folder",
                                        name));
}

/// The new process until exec. Other threads of the parent may have held any lock at the fork, so
/// only async-signal-safe functions may be called here.
[[noreturn]] void become(const SpawnPlan& plan, const char* path, char* const* argv, pid_t parent,
                         int failure_fd) {
  const auto give_up = [&] {
    const ExecFailure failure{errno};
    [[maybe_unused]] const ssize_t told = ::write(failure_fd, &failure, sizeof failure);
    ::_exit(127);
  };
  if (plan.own_session)
    ::setsid();
  else
    ::setpgid(0, 0);
  if (plan.dies_with_thread) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127); // the parent was gone before it was asked for
  }
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (::dup2(plan.in, 0) < 0 || ::dup2(plan.out, 1) < 0 || ::dup2(plan.err, 2) < 0) give_up();
  ::close_range(kFirstFree, ~0U, CLOSE_RANGE_CLOEXEC);
  if (plan.kept >= 0) ::fcntl(plan.kept, F_SETFD, 0);
  ::execv(path, argv);
  give_up();
  ::_exit(127);
}

Pipe both_above_standard(const std::array<int, 2>& ends) {
  Pipe pipe{above_standard(FileDescriptor(ends[0])), above_standard(FileDescriptor(ends[1]))};
  if (!pipe.read || !pipe.write)
    throw Error(Errc::io, "no descriptors for a child process; raise ulimit -n");
  return pipe;
}

} // namespace

FileDescriptor above_standard(FileDescriptor fd) {
  if (!fd || fd.get() >= kFirstFree) return fd;
  return FileDescriptor(::fcntl(fd.get(), F_DUPFD_CLOEXEC, kFirstFree));
}

Pipe make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    throw Error(Errc::io, fmt::format("no pipe for a child process: {}; raise ulimit -n",
                                      std::strerror(errno)));
  return both_above_standard(ends);
}

Pipe make_socket_pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
    throw Error(Errc::io, fmt::format("no socket pair for a child process: {}; raise ulimit -n",
                                      std::strerror(errno)));
  return both_above_standard(ends);
}

pid_t spawn(const SpawnPlan& plan) {
  const std::string path = program_path(plan.argv.at(0));
  std::vector<char*> argv;
  for (const std::string& word : plan.argv) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  Pipe failure = make_pipe();
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0)
    throw Error(Errc::io, fmt::format("no process for '{}': {}; raise ulimit -u", path,
                                      std::strerror(errno)));
  if (pid == 0) become(plan, path.c_str(), argv.data(), parent, failure.write.get());
  failure.write.reset();
  ExecFailure why;
  ssize_t count = 0;
  while ((count = ::read(failure.read.get(), &why, sizeof why)) < 0 && errno == EINTR) {
  }
  if (count != sizeof why) return pid;
  ::waitpid(pid, nullptr, 0);
  throw Error(Errc::config,
              fmt::format("'{}' cannot be started: {}", path, std::strerror(why.error)));
}

std::string to_text(const Death& death) {
  if (death.signal == 0) return fmt::format("exit code {}", death.exit_code);
  const char* name = ::sigabbrev_np(death.signal);
  return name != nullptr ? fmt::format("killed by SIG{}", name)
                         : fmt::format("killed by signal {}", death.signal);
}

ChildProcess::ChildProcess(std::vector<std::string> argv) {
  Pipe in = make_pipe();
  Pipe out = make_pipe();
  Pipe err = make_pipe();
  SpawnPlan plan;
  plan.argv = std::move(argv);
  plan.in = in.read.get();
  plan.out = out.write.get();
  plan.err = err.write.get();
  start(plan);
  in_ = std::move(in.write);
  out_ = std::move(out.read);
  err_ = std::move(err.read);
  for (const auto* end : {&out_, &err_}) ::fcntl(end->get(), F_SETFL, O_NONBLOCK);
}

ChildProcess::ChildProcess(const SpawnPlan& plan) {
  start(plan);
}

void ChildProcess::start(const SpawnPlan& plan) {
  pid_ = spawn(plan);
  // glibc 2.36 declares pidfd_open() without C linkage.
  pidfd_ = FileDescriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
}

ChildProcess::~ChildProcess() {
  if (reaped_) return;
  signal(SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void ChildProcess::signal(int number) const noexcept {
  if (!reaped_) ::kill(-pid_, number);
}

std::optional<Death> ChildProcess::poll_death() {
  siginfo_t info{};
  if (reaped_ || ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) != 0)
    return std::nullopt;
  if (info.si_pid == 0) return std::nullopt;
  // As long as it is not reaped, no stranger can have the number of its process group.
  signal(SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  reaped_ = true;
  pidfd_.reset();
  in_.reset();
  if (info.si_code == CLD_EXITED) return Death{0, info.si_status};
  return Death{info.si_status, 0};
}

} // namespace talaria::launch
