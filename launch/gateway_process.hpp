#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "launch/child_process.hpp"
#include "launch/line_reader.hpp"

namespace talaria::launch {

/// The program that serves under `talaria launch`: a child, so that the process with prompts and
/// keys holds neither this room nor the operator's commands.
///
///   talaria launch                              talaria-enclave serve FILE ... --report-fd N
///     constructor ─────────────────────────────▶ loads the model, listens
///        ready() ◀── {"ready":true} ────────────
///      workers() ─── one byte ─────────────────▶
///                ◀── {"workers":[...]} ─────────
///     request_stop() ─── SIGTERM ──────────────▶ ends in order
///        run() throws ◀── {"failed":CODE,"text":"..."} ── an Error, in place of a line of its own
///        run() returns ◀── its exit status ──────
///
/// Its standard output and error are this process's standard error, its standard input is empty. It
/// is in a process group of its own, so that Ctrl-C reaches it through request_stop() only. It dies
/// with the thread that made this object, however that ends, and with the destructor.
class GatewayProcess {
public:
  /// Starts the program. "--report-fd N" is added to `argv`.
  /// @throws Error{config} naming a program that cannot be executed; Error{io} without resources.
  explicit GatewayProcess(std::vector<std::string> argv);
  ~GatewayProcess();
  GatewayProcess(const GatewayProcess&) = delete;
  GatewayProcess& operator=(const GatewayProcess&) = delete;

  pid_t pid() const noexcept { return child_->pid(); }
  /// Waits for its end, and calls `ready` when it takes requests. Once, on the thread that made
  /// this object. @returns its exit status. @throws the Error it reports; Error{cancelled} if
  /// request_stop() ended it before it was ready; Error{internal} if a signal killed it.
  int run(const std::function<void()>& ready);
  /// The health of its links, a JSON array; "[]" if it says nothing within a second. Thread-safe.
  std::string workers();
  /// Asks it to end, once, and returns at once. Thread-safe.
  void request_stop();

private:
  void wait_for_events() const;
  void read_reports(const std::function<void()>& ready);
  void take(const std::string& line, const std::function<void()>& ready);
  std::optional<Death> poll_death();
  int verdict(const Death& death) const;

  FileDescriptor link_;
  LineReader lines_;
  bool link_ended_ = false;
  bool was_ready_ = false;
  std::optional<Error> failure_;

  mutable std::mutex mutex_; ///< guards what follows
  std::condition_variable changed_;
  std::optional<ChildProcess> child_;
  bool stop_requested_ = false;
  bool over_ = false;
  unsigned questions_ = 0, answers_ = 0;
  std::string workers_ = "[]";
};

} // namespace talaria::launch
