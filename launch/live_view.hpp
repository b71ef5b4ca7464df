#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "launch/node_state.hpp"

namespace talaria::launch {

/// Where a person sees how the nodes are. Called from any thread.
class LiveView {
public:
  virtual ~LiveView();
  /// Something happened that is worth a line of its own.
  virtual void line(std::string_view text) = 0;
  /// How the nodes are now; called often while any of them is not settled, and once they all are.
  virtual void show(const std::vector<NodeState>& nodes) = 0;
};

/// On a terminal: one line per node, redrawn in place, below the lines of events. Once all nodes
/// are settled the block stays where it is, and a new one begins with the next change.
class TerminalView final : public LiveView {
public:
  /// Writes to `fd`, which the caller keeps open.
  explicit TerminalView(int fd) : fd_(fd) {}
  void line(std::string_view text) override;
  void show(const std::vector<NodeState>& nodes) override;

private:
  std::string block(const std::vector<NodeState>& nodes);
  void write_all(std::string_view text) const;

  std::mutex mutex_;
  int fd_;
  int drawn_lines_ = 0;
  std::vector<NodeState> nodes_; ///< of the block on the screen
};

/// Elsewhere: the events, and every five seconds how far loading is.
class PlainView final : public LiveView {
public:
  /// `with_time` puts the time before each line, as log files want it.
  PlainView(int fd, bool with_time) : fd_(fd), with_time_(with_time) {}
  void line(std::string_view text) override;
  void show(const std::vector<NodeState>& nodes) override;

private:
  std::mutex mutex_;
  int fd_;
  bool with_time_;
  NodeState::Clock::time_point next_report_{};
};

/// For programs: one JSON object a line: {"event":"log","message"}, and {"event":"node", name,
/// state, ...} whenever the state of a node changes.
class JsonView final : public LiveView {
public:
  explicit JsonView(int fd) : fd_(fd) {}
  void line(std::string_view text) override;
  void show(const std::vector<NodeState>& nodes) override;

private:
  std::mutex mutex_;
  int fd_;
  std::vector<Phase> shown_;
};

/// Terminal or plain, whichever `fd` is.
std::shared_ptr<LiveView> make_live_view(int fd);

/// One node as the terminal view draws it, at most `width` columns.
std::string node_line(const NodeState& node, NodeState::Clock::time_point now, std::size_t width);

} // namespace talaria::launch
