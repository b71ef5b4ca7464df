#include "model/jinja/expression_parser.hpp"

#include <algorithm>
#include <array>

namespace talaria::model::jinja {

namespace {

constexpr std::array<std::string_view, 6> comparisons = {"==", "!=", "<", "<=", ">", ">="};
constexpr std::array<std::string_view, 7> keywords = {"and", "or", "not", "if", "else", "in", "is"};

template <class Node>
ExpressionPtr make(u32 line, Node node) {
  return std::make_unique<Expression>(Expression{line, std::move(node)});
}

bool contains(const auto& list, const std::string& text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

} // namespace

ExpressionPtr ExpressionParser::expression() {
  const u32 line = tokens_.current().line;
  ExpressionPtr value = unconditional();
  if (!tokens_.skip_name("if")) return value;
  Conditional out;
  out.then = std::move(value);
  out.condition = unconditional();
  if (tokens_.skip_name("else")) {
    const TokenStream::Level level(tokens_);
    out.otherwise = expression();
  }
  if (tokens_.is_name("if")) tokens_.fail("conditional expressions in a row need parentheses");
  return make(line, std::move(out));
}

ExpressionPtr ExpressionParser::tuple(bool conditional) {
  const u32 line = tokens_.current().line;
  const auto item = [&] { return conditional ? expression() : unconditional(); };
  ExpressionPtr first = item();
  if (!tokens_.is_symbol(",")) return first;
  ListDisplay out{{}, true};
  out.items.push_back(std::move(first));
  while (tokens_.skip_symbol(",")) {
    const bool ends = tokens_.is(TokenKind::variable_end) || tokens_.is(TokenKind::block_end) ||
                      tokens_.is_symbol(")");
    if (ends) break;
    out.items.push_back(item());
  }
  return make(line, std::move(out));
}

ExpressionPtr ExpressionParser::unconditional() {
  const u32 line = tokens_.current().line;
  ExpressionPtr first = logical_and();
  if (!tokens_.is_name("or")) return first;
  Logical out{{}, false};
  out.operands.push_back(std::move(first));
  while (tokens_.skip_name("or")) out.operands.push_back(logical_and());
  return make(line, std::move(out));
}

ExpressionPtr ExpressionParser::logical_and() {
  const u32 line = tokens_.current().line;
  ExpressionPtr first = logical_not();
  if (!tokens_.is_name("and")) return first;
  Logical out{{}, true};
  out.operands.push_back(std::move(first));
  while (tokens_.skip_name("and")) out.operands.push_back(logical_not());
  return make(line, std::move(out));
}

ExpressionPtr ExpressionParser::logical_not() {
  const u32 line = tokens_.current().line;
  if (!tokens_.skip_name("not")) return comparison();
  const TokenStream::Level level(tokens_);
  return make(line, Negation{logical_not(), "not"});
}

/// The operator that stands here, or nothing.
std::string ExpressionParser::comparison_operator() {
  if (tokens_.is(TokenKind::symbol) && contains(comparisons, tokens_.current().text))
    return tokens_.take().text;
  if (tokens_.skip_name("in")) return "in";
  const Token& next = tokens_.ahead();
  if (!tokens_.is_name("not") || next.kind != TokenKind::name || next.text != "in") return "";
  tokens_.take();
  tokens_.take();
  return "not in";
}

ExpressionPtr ExpressionParser::comparison() {
  const u32 line = tokens_.current().line;
  ExpressionPtr first = sum();
  Comparison out;
  for (std::string sign; !(sign = comparison_operator()).empty();)
    out.rest.emplace_back(sign, sum());
  if (out.rest.empty()) return first;
  out.first = std::move(first);
  return make(line, std::move(out));
}

ExpressionPtr ExpressionParser::sum() {
  const u32 line = tokens_.current().line;
  ExpressionPtr first = concatenation();
  Arithmetic out;
  while (tokens_.is_symbol("+") || tokens_.is_symbol("-")) {
    std::string sign = tokens_.take().text;
    out.rest.emplace_back(std::move(sign), concatenation());
  }
  if (out.rest.empty()) return first;
  out.first = std::move(first);
  return make(line, std::move(out));
}

ExpressionPtr ExpressionParser::concatenation() {
  const u32 line = tokens_.current().line;
  ExpressionPtr first = product();
  Arithmetic out;
  while (tokens_.skip_symbol("~")) out.rest.emplace_back("~", product());
  if (out.rest.empty()) return first;
  out.first = std::move(first);
  return make(line, std::move(out));
}

/// Jinja2 applies ** from left to right, other than Python.
ExpressionPtr ExpressionParser::power() {
  const u32 line = tokens_.current().line;
  ExpressionPtr first = unary(true);
  Arithmetic out;
  while (tokens_.skip_symbol("**")) out.rest.emplace_back("**", unary(true));
  if (out.rest.empty()) return first;
  out.first = std::move(first);
  return make(line, std::move(out));
}

ExpressionPtr ExpressionParser::product() {
  const u32 line = tokens_.current().line;
  ExpressionPtr first = power();
  Arithmetic out;
  while (tokens_.is_symbol("*") || tokens_.is_symbol("//") || tokens_.is_symbol("%") ||
         tokens_.is_symbol("/")) {
    std::string sign = tokens_.take().text;
    out.rest.emplace_back(std::move(sign), power());
  }
  if (out.rest.empty()) return first;
  out.first = std::move(first);
  return make(line, std::move(out));
}

ExpressionPtr ExpressionParser::unary(bool with_filters) {
  const u32 line = tokens_.current().line;
  if (!tokens_.is_symbol("-") && !tokens_.is_symbol("+")) return suffixes(primary(), with_filters);
  const TokenStream::Level level(tokens_);
  std::string sign = tokens_.take().text;
  return suffixes(make(line, Negation{unary(false), std::move(sign)}), with_filters);
}

ExpressionPtr ExpressionParser::primary() {
  const Token& token = tokens_.current();
  switch (token.kind) {
  case TokenKind::name:
    return name();
  case TokenKind::string:
    return strings();
  case TokenKind::integer: {
    const i64 value = std::stoll(token.text);
    const u32 line = tokens_.take().line;
    return make(line, Literal{Value(value)});
  }
  case TokenKind::real: {
    const double value = std::stod(token.text);
    const u32 line = tokens_.take().line;
    return make(line, Literal{Value(value)});
  }
  default:
    break;
  }
  if (tokens_.is_symbol("(")) return parenthesised();
  if (tokens_.is_symbol("[")) return list_display();
  if (tokens_.is_symbol("{")) return dict_display();
  tokens_.fail("expected an expression, found {}", token.text);
}

ExpressionPtr ExpressionParser::name() {
  if (contains(keywords, tokens_.current().text))
    tokens_.fail("expected an expression, found {}", tokens_.current().text);
  const Token token = tokens_.take();
  const std::string& text = token.text;
  if (text == "true" || text == "True") return make(token.line, Literal{Value(true)});
  if (text == "false" || text == "False") return make(token.line, Literal{Value(false)});
  if (text == "none" || text == "None") return make(token.line, Literal{Value(None{})});
  return make(token.line, Name{text});
}

/// String literals in a row are one.
ExpressionPtr ExpressionParser::strings() {
  const u32 line = tokens_.current().line;
  std::string text;
  while (tokens_.is(TokenKind::string)) text += tokens_.take().text;
  return make(line, Literal{Value(std::move(text))});
}

ExpressionPtr ExpressionParser::parenthesised() {
  const TokenStream::Level level(tokens_);
  const u32 line = tokens_.take().line;
  if (tokens_.skip_symbol(")")) return make(line, ListDisplay{{}, true});
  ExpressionPtr out = tuple(true);
  tokens_.expect_symbol(")");
  return out;
}

ExpressionPtr ExpressionParser::list_display() {
  const TokenStream::Level level(tokens_);
  ListDisplay out{{}, false};
  const u32 line = tokens_.take().line;
  while (!tokens_.is_symbol("]")) {
    out.items.push_back(expression());
    if (!tokens_.skip_symbol(",")) break;
  }
  tokens_.expect_symbol("]");
  return make(line, std::move(out));
}

ExpressionPtr ExpressionParser::dict_display() {
  const TokenStream::Level level(tokens_);
  DictDisplay out;
  const u32 line = tokens_.take().line;
  while (!tokens_.is_symbol("}")) {
    ExpressionPtr key = expression();
    tokens_.expect_symbol(":");
    out.items.emplace_back(std::move(key), expression());
    if (!tokens_.skip_symbol(",")) break;
  }
  tokens_.expect_symbol("}");
  return make(line, std::move(out));
}

ExpressionPtr ExpressionParser::suffixes(ExpressionPtr base, bool filters) {
  Chain out;
  while (postfix(out.suffixes)) {
  }
  while (filters && filter_or_test(out.suffixes)) {
  }
  if (out.suffixes.empty()) return base;
  const u32 line = base->line;
  out.base = std::move(base);
  return make(line, std::move(out));
}

bool ExpressionParser::postfix(std::vector<Suffix>& out) {
  const u32 line = tokens_.current().line;
  if (tokens_.is_symbol("."))
    out.push_back(attribute());
  else if (tokens_.is_symbol("["))
    out.push_back(subscript());
  else if (tokens_.is_symbol("("))
    out.push_back({line, Call{arguments()}});
  else
    return false;
  return true;
}

/// Behind a filter, a call is possible again, but no attribute: as in Jinja2.
bool ExpressionParser::filter_or_test(std::vector<Suffix>& out) {
  const u32 line = tokens_.current().line;
  if (tokens_.is_symbol("|"))
    out.push_back(filter());
  else if (tokens_.is_name("is"))
    out.push_back(test());
  else if (tokens_.is_symbol("("))
    out.push_back({line, Call{arguments()}});
  else
    return false;
  return true;
}

Suffix ExpressionParser::attribute() {
  const u32 line = tokens_.take().line;
  if (!tokens_.is(TokenKind::integer)) return {line, AttributeOf{tokens_.expect_identifier()}};
  const i64 index = std::stoll(tokens_.take().text);
  return {line, Subscript{make(line, Literal{Value(index)})}};
}

Suffix ExpressionParser::subscript() {
  const TokenStream::Level level(tokens_);
  const u32 line = tokens_.take().line;
  const auto part = [&]() -> ExpressionPtr {
    if (tokens_.is_symbol(":") || tokens_.is_symbol("]")) return nullptr;
    return expression();
  };
  ExpressionPtr start = part();
  if (!tokens_.is_symbol(":")) {
    if (!start) tokens_.fail("a subscript is empty");
    if (tokens_.is_symbol(",")) tokens_.fail("a subscript with a comma is not supported");
    tokens_.expect_symbol("]");
    return {line, Subscript{std::move(start)}};
  }
  Slice out;
  out.start = std::move(start);
  tokens_.expect_symbol(":");
  out.stop = part();
  if (tokens_.skip_symbol(":")) out.step = part();
  tokens_.expect_symbol("]");
  return {line, std::move(out)};
}

std::vector<Suffix> ExpressionParser::filter_names() {
  std::vector<Suffix> out;
  const u32 line = tokens_.current().line;
  FilterUse first;
  first.name = tokens_.expect_identifier();
  if (tokens_.is_symbol("(")) first.arguments = arguments();
  out.push_back({line, std::move(first)});
  while (tokens_.is_symbol("|")) out.push_back(filter());
  return out;
}

std::vector<Suffix> ExpressionParser::following_filters() {
  std::vector<Suffix> out;
  while (tokens_.is_symbol("|")) out.push_back(filter());
  return out;
}

Suffix ExpressionParser::filter() {
  const u32 line = tokens_.take().line;
  FilterUse out;
  out.name = tokens_.expect_identifier();
  if (tokens_.is_symbol("(")) out.arguments = arguments();
  return {line, std::move(out)};
}

Suffix ExpressionParser::test() {
  const u32 line = tokens_.take().line;
  TestUse out;
  out.negated = tokens_.skip_name("not");
  out.name = tokens_.expect_identifier();
  out.arguments = tokens_.is_symbol("(") ? arguments() : test_arguments();
  return {line, std::move(out)};
}

/// A test takes one argument without parentheses: `x is divisibleby 3`.
Arguments ExpressionParser::test_arguments() {
  Arguments out;
  const TokenKind kind = tokens_.current().kind;
  const bool begins = kind == TokenKind::name || kind == TokenKind::string ||
                      kind == TokenKind::integer || kind == TokenKind::real ||
                      tokens_.is_symbol("[") || tokens_.is_symbol("{");
  if (!begins || tokens_.is_name("else") || tokens_.is_name("or") || tokens_.is_name("and"))
    return out;
  if (tokens_.is_name("is")) tokens_.fail("tests in a row need parentheses");
  out.positional.push_back(suffixes(primary(), false));
  return out;
}

Arguments ExpressionParser::arguments() {
  const TokenStream::Level level(tokens_);
  Arguments out;
  tokens_.expect_symbol("(");
  while (!tokens_.is_symbol(")")) {
    if (tokens_.is_symbol("*") || tokens_.is_symbol("**"))
      tokens_.fail("{} before an argument is not supported", tokens_.current().text);
    const Token& next = tokens_.ahead();
    const bool named =
        tokens_.is(TokenKind::name) && next.kind == TokenKind::symbol && next.text == "=";
    if (named) {
      std::string key = tokens_.take().text;
      tokens_.take();
      out.named.emplace_back(std::move(key), expression());
    } else {
      if (!out.named.empty()) tokens_.fail("a positional argument follows a named one");
      out.positional.push_back(expression());
    }
    if (!tokens_.skip_symbol(",")) break;
  }
  tokens_.expect_symbol(")");
  return out;
}

} // namespace talaria::model::jinja
