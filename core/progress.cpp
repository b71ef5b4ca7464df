#include "core/progress.hpp"
#include "core/console.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

namespace talaria {

namespace {
constexpr auto kQuiet = std::chrono::seconds(1);
constexpr auto kRedraw = std::chrono::milliseconds(100);
constexpr int kWidth = 28;
} // namespace

TerminalProgress::TerminalProgress() : on_terminal_(::isatty(STDERR_FILENO) == 1) {}
TerminalProgress::~TerminalProgress() {
  end();
}

void TerminalProgress::begin(const std::string& what, std::size_t total) {
  end();
  what_ = what;
  total_ = std::max<std::size_t>(total, 1);
  done_ = 0;
  start_ = last_draw_ = Clock::now();
}

void TerminalProgress::advance(std::size_t bytes) {
  done_ += bytes;
  if (!on_terminal_) return;
  const auto now = Clock::now();
  if (now - start_ < kQuiet || now - last_draw_ < kRedraw) return;
  last_draw_ = now;
  draw(now);
}

void TerminalProgress::draw(Clock::time_point now) {
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const double share = std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_));
  const double eta = share > 0 ? seconds * (1 - share) / share : 0;
  const int filled = static_cast<int>(share * kWidth);
  write_fully(STDERR_FILENO,
              fmt::format("\r{:<10} [{:=<{}}{: <{}}] {:3.0f}%  {:.2f} GB/s  {:.0f} s left ", what_,
                          "", filled, "", kWidth - filled, share * 100,
                          static_cast<double>(done_) / seconds / 1e9, eta));
  shown_ = true;
}

void TerminalProgress::end() {
  if (shown_) write_fully(STDERR_FILENO, fmt::format("\r{: <{}}\r", "", 78));
  shown_ = false;
}

} // namespace talaria
