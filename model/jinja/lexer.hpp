#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/integers.hpp"

namespace talaria::model::jinja {

enum class TokenKind {
  data,           ///< text outside of tags, whitespace control applied
  variable_begin, ///< {{
  variable_end,
  block_begin, ///< {%
  block_end,
  name,
  string, ///< escapes resolved
  integer,
  real,   ///< a float
  symbol, ///< an operator or bracket
  end,
};

struct Token {
  TokenKind kind;
  std::string text;
  u32 line;
};

/// Cuts a template into tokens as Jinja2 does with trim_blocks and lstrip_blocks on and
/// keep_trailing_newline off; comments are gone. Ends with one token of kind `end`.
/// @throws Error{model} naming `file` and line.
std::vector<Token> tokenize(std::string_view source, const std::string& file);

} // namespace talaria::model::jinja
