#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace talaria::exporting {

/// The text of a unit, to be changed setting by setting.
class UnitFile {
public:
  explicit UnitFile(std::string_view text);

  /// Replaces all lines of `key` by one, in the place of the first; with `value` empty they go,
  /// and comment lines right above.
  /// @throws Error{internal} if there is none: the shipped unit has changed.
  void set(std::string_view key, const std::string& value);
  /// Adds a line behind the last of `after`.
  void add_after(std::string_view after, const std::string& line);
  /// Replaces the comment lines at the top.
  void set_comment(std::string_view text);

  std::string text() const;

private:
  std::vector<std::string> lines_; ///< with continuations, without the last line end
};

} // namespace talaria::exporting
