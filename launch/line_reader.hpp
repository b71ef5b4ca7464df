#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace talaria::launch {

/// Cuts a stream into lines. What a line has beyond `limit` bytes is dropped, so that a program
/// that never ends its line costs no memory.
class LineReader {
public:
  using Take = std::function<void(const std::string& line)>;

  explicit LineReader(std::size_t limit) : limit_(limit) {}
  /// Calls `take` for each line that `bytes` completes.
  void feed(std::string_view bytes, const Take& take);
  /// The stream has ended: what is left is a line too.
  void finish(const Take& take);

private:
  std::size_t limit_;
  std::string line_;
};

/// `text` as one line of a terminal or log: control characters become '?', at most `limit` bytes,
/// cut between characters. What other machines say goes through this.
std::string one_line(std::string_view text, std::size_t limit = 400);

} // namespace talaria::launch
