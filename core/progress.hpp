#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace talaria {

/// Told how far a long job has come. Implementations must be cheap: they are called often.
class Progress {
public:
  virtual ~Progress() = default;
  /// A new job of `total` bytes begins, e.g. "weights".
  virtual void begin(const std::string& what, std::size_t total) = 0;
  /// `bytes` more are done.
  virtual void advance(std::size_t bytes) = 0;
  /// The job is over.
  virtual void end() = 0;
};

/// Says nothing.
class SilentProgress final : public Progress {
public:
  void begin(const std::string&, std::size_t) override {}
  void advance(std::size_t) override {}
  void end() override {}
};

/// One line on standard error with a bar, GB/s and the time left. Appears only on a terminal and
/// only once a job has run for a second, so that quick things stay quiet.
class TerminalProgress final : public Progress {
public:
  TerminalProgress();
  ~TerminalProgress() override;
  void begin(const std::string& what, std::size_t total) override;
  void advance(std::size_t bytes) override;
  void end() override;

private:
  using Clock = std::chrono::steady_clock;
  void draw(Clock::time_point now);

  bool on_terminal_;
  bool shown_ = false;
  std::string what_;
  std::size_t total_ = 0;
  std::size_t done_ = 0;
  Clock::time_point start_{};
  Clock::time_point last_draw_{};
};

} // namespace talaria
