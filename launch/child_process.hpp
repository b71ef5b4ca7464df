#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/file_descriptor.hpp"

namespace talaria::launch {

/// Both ends close on exec and lie above 2, so that no child is surprised by them.
/// @throws Error{io} if the process has no descriptors left.
struct Pipe {
  FileDescriptor read, write;
};
Pipe make_pipe();

/// The same with a pair of stream sockets, whose ends both read and write: writing to one that
/// nobody reads raises no signal with MSG_NOSIGNAL. @throws as make_pipe().
Pipe make_socket_pair();

/// The same file under a number above 2.
FileDescriptor above_standard(FileDescriptor fd);

/// What a new program gets.
struct SpawnPlan {
  std::vector<std::string> argv; ///< argv[0] with a slash, or looked for in PATH
  int in = -1;                   ///< descriptors above 2 that become 0, 1 and 2
  int out = -1;
  int err = -1;
  int kept = -1;                ///< one more that stays open under its own number
  bool own_session = false;     ///< otherwise a process group of its own: Ctrl-C does not reach it
  bool dies_with_thread = true; ///< SIGKILL when the calling thread ends, however it ends
};

/// Starts a program: no signal blocked or ignored, no other descriptor open.
/// @throws Error{config} naming the program, if it cannot be executed; Error{io} without resources.
pid_t spawn(const SpawnPlan& plan);

/// How a process ended.
struct Death {
  int signal = 0;
  int exit_code = 0; ///< meaningless if `signal` is not 0
};

/// "killed by SIGKILL" or "exit code 3".
std::string to_text(const Death& death);

/// A program in a process group of its own. It ends when this object does (SIGKILL), and also when
/// the thread that started it does, so that thread must live as long.
class ChildProcess {
public:
  /// With pipes on its standard streams. @throws as spawn().
  explicit ChildProcess(std::vector<std::string> argv);
  /// With the standard streams of `plan`, which must not have `own_session`: out() and err() are
  /// closed. @throws as spawn().
  explicit ChildProcess(const SpawnPlan& plan);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const noexcept { return pid_; }
  /// Becomes readable when the process ends; -1 if the kernel has no such thing.
  int death_fd() const noexcept { return pidfd_.get(); }
  FileDescriptor& out() noexcept { return out_; } ///< not blocking
  FileDescriptor& err() noexcept { return err_; }

  /// For children that end when their standard input does.
  void close_input() noexcept { in_.reset(); }
  /// To the whole process group.
  void signal(int number) const noexcept;
  /// How it ended, if it has; whatever it left behind in its process group is killed with it.
  std::optional<Death> poll_death();

private:
  void start(const SpawnPlan& plan);

  pid_t pid_ = 0;
  bool reaped_ = false;
  FileDescriptor in_, out_, err_, pidfd_;
};

} // namespace talaria::launch
