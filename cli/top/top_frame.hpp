#pragma once

#include <deque>
#include <memory>
#include <string>

namespace talaria::cli {

/// Draws what a gateway tells at /dashboard/events as text for a terminal. Keeps what it was shown
/// of the last minute, for rates and courses.
class TopFrames {
public:
  struct Screen {
    unsigned width = 100; ///< columns; 40 at least are used
    unsigned height = 0;  ///< lines; 0: as many as there is something to tell
    bool colours = false;
  };
  TopFrames();
  ~TopFrames();

  /// Takes one event.
  /// @throws Error{io} if it is no such thing, or of a newer version
  void take(const std::string& event);
  /// Lines with their ends, for the last event; none wider than the screen.
  std::string frame(const Screen& screen) const;

private:
  struct Feed;
  std::deque<std::unique_ptr<const Feed>> feeds_; ///< the oldest first
};

} // namespace talaria::cli
