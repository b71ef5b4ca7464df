#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/tool_call.hpp"

namespace talaria::gateway {

/// `text` without blanks around it.
std::string_view without_blanks(std::string_view text) noexcept;

/// A name for a call that nobody can guess, in the form that the family's templates take.
std::string new_call_id(ToolSyntax syntax);

/// {"name": ..., "arguments" or "parameters": {...}}, for each text; all or nothing. Arguments as
/// they are written.
std::optional<std::vector<ToolCall>> json_calls(const std::vector<std::string_view>& texts,
                                                ToolSyntax syntax);
/// The whole of an answer, as models of the family write calls; nothing if it is anything else.
std::optional<std::vector<ToolCall>> llama_calls(std::string_view text);
std::optional<std::vector<ToolCall>> python_call_list(std::string_view text);
/// What stands behind [TOOL_CALLS]: a list of calls, or "name[ARGS]{...}" and "name{...}".
std::optional<std::vector<ToolCall>> mistral_calls(std::string_view text);

/// The beginning of a call, up to the brace that opens its arguments.
struct CallHead {
  enum class Kind {
    incomplete, ///< what there is may become one
    other,      ///< it is none that is written in the usual order
    found
  };
  Kind kind = Kind::other;
  std::string name{};
  std::size_t arguments = 0; ///< where the brace stands in the text
};
/// {"name": NAME, "arguments" or "parameters": {, with blanks anywhere.
CallHead json_call_head(std::string_view text);
/// NAME, perhaps "[ARGS]" or more in brackets, {.
CallHead named_call_head(std::string_view text);

/// Follows a JSON object to its end.
class ObjectScanner {
public:
  /// Bytes of `text` that belong to the object; all of them unless it ends there.
  std::size_t feed(std::string_view text) noexcept;
  bool done() const noexcept { return done_; }

private:
  int depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;
  bool done_ = false;
};

/// Bytes at the end of `text` that may be the beginning of `marker`.
std::size_t possible_beginning(std::string_view text, std::string_view marker) noexcept;

} // namespace talaria::gateway
