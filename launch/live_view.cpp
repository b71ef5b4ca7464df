#include "launch/live_view.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "launch/line_reader.hpp"
#include "launch/node_log.hpp"
#include "launch/status.hpp"

namespace talaria::launch {
namespace {

using Clock = NodeState::Clock;
using std::chrono::milliseconds;

constexpr int kBarWidth = 20;
constexpr std::size_t kWidthWithBar = 100;
constexpr auto kReportEvery = std::chrono::seconds(5);

void write_to(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return; // nobody is looking any more
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

bool all_settled(const std::vector<NodeState>& nodes) {
  return std::all_of(nodes.begin(), nodes.end(), [](const NodeState& n) { return n.is_settled(); });
}

std::string rate_text(const NodeState& node) {
  if (node.bytes_per_second <= 0) return {};
  const double left = static_cast<double>(node.total - node.done) / node.bytes_per_second;
  return fmt::format("{}/s, {} left", bytes_text(node.bytes_per_second),
                     time_text(milliseconds(static_cast<i64>(std::min(left, 1e9) * 1000))));
}

/// Empty, in the same width, where nothing is loading.
std::string bar_of(const NodeState& node) {
  if (node.phase != Phase::loading || node.total == 0) return std::string(kBarWidth + 3, ' ');
  const auto filled = static_cast<int>(kBarWidth * static_cast<double>(node.done) /
                                       static_cast<double>(node.total));
  return fmt::format("[{:=<{}}{: <{}}] ", "", filled, "", kBarWidth - filled);
}

winsize screen_of(int fd) {
  winsize size{};
  ::ioctl(fd, TIOCGWINSZ, &size);
  if (size.ws_col < 20) size.ws_col = 80;
  if (size.ws_row < 5) size.ws_row = 24;
  return size;
}

} // namespace

LiveView::~LiveView() = default;

std::string node_line(const NodeState& node, Clock::time_point now, std::size_t width) {
  std::string about = rate_text(node);
  if (node.phase == Phase::ready)
    about = fmt::format("{} matrices, {}", node.matrices,
                        bytes_text(static_cast<double>(node.weight_bytes)));
  else if (node.phase == Phase::failed || node.phase == Phase::restarting)
    about = node.last_death;
  std::string line =
      fmt::format("{:<10} {:<17} {}{:<20} {}", node.name, node.address,
                  width < kWidthWithBar ? std::string() : bar_of(node), describe(node, now), about);
  line.erase(line.find_last_not_of(' ') + 1);
  return line.size() <= width ? one_line(line) : one_line(line, width > 3 ? width - 3 : 0);
}

std::string TerminalView::block(const std::vector<NodeState>& nodes) {
  const winsize screen = screen_of(fd_);
  const auto now = Clock::now();
  const auto rows = static_cast<std::size_t>(screen.ws_row - 2);
  std::string text;
  std::size_t shown = 0;
  for (const NodeState& node : nodes) {
    // Where not all fit, those that are ready are the ones nobody misses.
    if (nodes.size() > rows && (node.phase == Phase::ready || shown == rows - 1)) continue;
    text += node_line(node, now, screen.ws_col) + "\033[K\n";
    ++shown;
  }
  if (shown < nodes.size()) {
    text += fmt::format("and {} more\033[K\n", nodes.size() - shown);
    ++shown;
  }
  drawn_lines_ = static_cast<int>(shown);
  return text;
}

void TerminalView::line(std::string_view text) {
  std::lock_guard lock(mutex_);
  std::string out;
  if (drawn_lines_ > 0) out += fmt::format("\033[{}A", drawn_lines_);
  out += one_line(text) + "\033[K\n";
  if (drawn_lines_ > 0) out += block(nodes_) + "\033[J";
  write_all(out);
}

void TerminalView::show(const std::vector<NodeState>& nodes) {
  std::lock_guard lock(mutex_);
  std::string out;
  if (drawn_lines_ > 0) out += fmt::format("\033[{}A", drawn_lines_);
  out += block(nodes) + "\033[J";
  write_all(out);
  nodes_ = nodes;
  if (all_settled(nodes)) drawn_lines_ = 0;
}

void TerminalView::write_all(std::string_view text) const {
  write_to(fd_, text);
}

void PlainView::line(std::string_view text) {
  std::lock_guard lock(mutex_);
  write_to(fd_, (with_time_ ? utc_now() + " " : std::string()) + one_line(text) + "\n");
}

void PlainView::show(const std::vector<NodeState>& nodes) {
  std::string out;
  {
    std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    if (next_report_ == Clock::time_point{}) next_report_ = now + kReportEvery;
    if (now < next_report_ || all_settled(nodes)) return;
    next_report_ = now + kReportEvery;
    for (const NodeState& node : nodes)
      if (node.phase == Phase::loading)
        out += fmt::format("{}{}: {}", out.empty() ? "" : "; ", node.name, describe(node, now)) +
               (node.bytes_per_second > 0 ? ", " + rate_text(node) : "");
  }
  if (!out.empty()) line(out);
}

void JsonView::line(std::string_view text) {
  std::lock_guard lock(mutex_);
  write_to(fd_, nlohmann::json{{"event", "log"}, {"message", one_line(text)}}.dump(
                    -1, ' ', false, nlohmann::json::error_handler_t::replace) +
                    "\n");
}

void JsonView::show(const std::vector<NodeState>& nodes) {
  std::lock_guard lock(mutex_);
  std::string out;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (i < shown_.size() && shown_[i] == nodes[i].phase) continue;
    out += node_event_json(nodes[i]) + "\n";
  }
  shown_.clear();
  for (const NodeState& node : nodes) shown_.push_back(node.phase);
  write_to(fd_, out);
}

std::shared_ptr<LiveView> make_live_view(int fd) {
  if (::isatty(fd) == 1) return std::make_shared<TerminalView>(fd);
  return std::make_shared<PlainView>(fd, false);
}

} // namespace talaria::launch
