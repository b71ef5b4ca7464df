#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace talaria::config {

/// A place in the file, counted from 1, or one of those below.
struct Position {
  int line = 0;
  int column = 0;
};
inline constexpr Position kInEnvironment{0, 0};
inline constexpr Position kOnCommandLine{-1, 0};

/// What is wrong with one file, gathered so that a user sees everything at once.
class Problems {
public:
  explicit Problems(const std::filesystem::path& file) : file_(file.string()) {}

  /// `what` says what is wrong and what was expected; `key` is the setting, the variable or the
  /// flag, and may be empty (the file as a whole).
  void add(Position at, std::string_view key, std::string_view what);

  std::size_t count() const { return found_.size(); }

  /// Files that the settings name are another machine's: whether they are there is not asked here.
  void set_files_elsewhere(bool are) { files_elsewhere_ = are; }
  bool files_are_elsewhere() const { return files_elsewhere_; }

  /// @throws Error{config} with one line for each problem, if there is any: those of the command
  /// line, of the environment, then of the file in its order.
  void throw_if_any() const;

private:
  struct Problem {
    Position at;
    std::string line;
  };
  std::string file_;
  bool files_elsewhere_ = false;
  std::vector<Problem> found_;
};

/// `text` shortened and without control characters: fit for one line of a message.
std::string printable(std::string_view text);

/// The same in single quotes.
std::string in_quotes(std::string_view text);

/// "a, b or c".
std::string listed(const std::vector<std::string_view>& words);

/// The word a typing mistake or two away from `word`; empty if there is none.
std::string_view nearest(std::string_view word, const std::vector<std::string_view>& known);

} // namespace talaria::config
