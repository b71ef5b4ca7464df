#pragma once

#include <memory>
#include <string>

namespace talaria::cli {

/// Where the lines of a chat come from.
class LineReader {
public:
  enum class Got { line, interrupted, end };
  virtual ~LineReader() = default;
  /// Waits for a line, which comes without its end.
  virtual Got read(const std::string& prompt, std::string& line) = 0;
  /// Makes read() return `interrupted`, the next one if none waits. Thread-safe.
  virtual void interrupt() noexcept = 0;
};

/// From standard input as it is, without prompts: for scripts.
std::unique_ptr<LineReader> plain_lines();
/// From a terminal: editing as in a shell, with the history of this session, which is kept in
/// memory only. Standard input and output must be one. @throws Error{io} if it cannot be used.
std::unique_ptr<LineReader> edited_lines();

} // namespace talaria::cli
