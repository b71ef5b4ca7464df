#pragma once

#include "model/jinja/ast.hpp"
#include "model/jinja/token_stream.hpp"

namespace talaria::model::jinja {

/// Jinja2's expression grammar, with its precedences.
class ExpressionParser {
public:
  explicit ExpressionParser(TokenStream& tokens) : tokens_(tokens) {}

  /// One expression, `a if b else c` included.
  ExpressionPtr expression();
  /// Without the conditional, where `if` means something else.
  ExpressionPtr unconditional();
  /// name(arguments) | name ... behind which nothing else comes; the first is a filter, too.
  std::vector<Suffix> filter_names();
  /// (a, b=1): the arguments of a call.
  Arguments call_arguments() { return arguments(); }
  /// Filters and tests that follow, if any.
  std::vector<Suffix> following_filters();
  /// a, b, ... is a tuple.
  ExpressionPtr tuple(bool conditional);

private:
  ExpressionPtr logical_and();
  ExpressionPtr logical_not();
  ExpressionPtr comparison();
  std::string comparison_operator();
  ExpressionPtr sum();
  ExpressionPtr concatenation();
  ExpressionPtr product();
  ExpressionPtr power();
  ExpressionPtr unary(bool with_filters);
  ExpressionPtr primary();
  ExpressionPtr name();
  ExpressionPtr strings();
  ExpressionPtr parenthesised();
  ExpressionPtr list_display();
  ExpressionPtr dict_display();

  /// Attaches attributes, subscripts and calls; with `filters` also filters and tests.
  ExpressionPtr suffixes(ExpressionPtr base, bool filters);
  bool postfix(std::vector<Suffix>& out);
  bool filter_or_test(std::vector<Suffix>& out);
  Suffix attribute();
  Suffix subscript();
  Suffix filter();
  Suffix test();
  Arguments test_arguments();
  Arguments arguments();

  TokenStream& tokens_;
};

} // namespace talaria::model::jinja
