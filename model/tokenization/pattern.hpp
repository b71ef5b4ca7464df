#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/tokenization/json_node.hpp"

namespace talaria::model {

/// A piece of a text: [begin, end) in bytes, matched or between two matches.
struct Span {
  std::size_t begin, end;
  bool matched;
  friend bool operator==(const Span&, const Span&) = default;
};

/// What the `tokenizers` library calls a pattern: a literal, or a regular expression.
class Pattern {
public:
  static Pattern literal(std::string text);
  /// @throws Error{model} beginning with `where` if the expression cannot be reproduced exactly.
  static Pattern regex(std::string_view expression, const std::string& where);
  /// An expression of this project's own, in PCRE2's syntax; it has to compile.
  static Pattern pcre2(std::string_view expression);
  /// {"String": "..."} or {"Regex": "..."}.
  static Pattern parse(const JsonNode& node);

  Pattern(Pattern&&) noexcept;
  Pattern& operator=(Pattern&&) noexcept;
  ~Pattern();

  /// A regular expression, whose cut() can throw.
  bool is_expression() const noexcept { return code_ != nullptr; }
  std::size_t literal_size() const noexcept { return literal_.size(); }
  /// Cuts valid UTF-8 into matches and what lies between them, in order, covering all of it.
  /// @throws Error{usage} if the expression needs too much work on this text.
  std::vector<Span> cut(std::string_view text) const;

private:
  struct Code;
  Pattern();
  static Pattern compiled(std::string_view expression, std::string_view shown,
                          const std::string& where);
  std::vector<Span> cut_literal(std::string_view text) const;

  std::string literal_;
  std::unique_ptr<Code> code_;
};

} // namespace talaria::model
