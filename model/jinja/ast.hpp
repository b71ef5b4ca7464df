#pragma once

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/integers.hpp"
#include "model/jinja/value.hpp"

namespace talaria::model::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

struct Arguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
};

struct Literal {
  Value value;
};
struct Name {
  std::string name;
};
struct ListDisplay {
  std::vector<ExpressionPtr> items;
  bool tuple;
};
struct DictDisplay {
  std::vector<std::pair<ExpressionPtr, ExpressionPtr>> items;
};
struct Negation {
  ExpressionPtr operand;
  std::string symbol; ///< "not", "-" or "+"
};
/// Operators of one precedence, applied from left to right.
struct Arithmetic {
  ExpressionPtr first;
  std::vector<std::pair<std::string, ExpressionPtr>> rest;
};
/// a < b <= c ...; the operators `in` and `not in` too.
struct Comparison {
  ExpressionPtr first;
  std::vector<std::pair<std::string, ExpressionPtr>> rest;
};
/// `and` or `or` of all operands.
struct Logical {
  std::vector<ExpressionPtr> operands;
  bool is_and;
};
struct Conditional {
  ExpressionPtr condition, then, otherwise; ///< `otherwise` may be null
};

struct AttributeOf {
  std::string name;
};
struct Subscript {
  ExpressionPtr index;
};
struct Slice {
  ExpressionPtr start, stop, step; ///< each may be null
};
struct Call {
  Arguments arguments;
};
struct FilterUse {
  std::string name;
  Arguments arguments;
};
struct TestUse {
  std::string name;
  Arguments arguments;
  bool negated;
};
struct Suffix {
  u32 line;
  std::variant<AttributeOf, Subscript, Slice, Call, FilterUse, TestUse> use;
};
/// A base with everything that is attached behind it, in order.
struct Chain {
  ExpressionPtr base;
  std::vector<Suffix> suffixes;
};

struct Expression {
  u32 line;
  std::variant<Literal, Name, ListDisplay, DictDisplay, Negation, Arithmetic, Comparison, Logical,
               Conditional, Chain>
      node;
};

struct Statement;
using Body = std::vector<Statement>;

struct TextOutput {
  std::string text;
};
struct Output {
  ExpressionPtr value;
};
struct If {
  std::vector<std::pair<ExpressionPtr, Body>> branches;
  Body otherwise;
};
struct For {
  std::vector<std::string> targets;
  ExpressionPtr items, condition; ///< `condition` may be null
  Body body, otherwise;
};
struct Set {
  std::vector<std::string> targets;
  std::string attribute; ///< of the one target, a namespace; or empty
  ExpressionPtr value;
};
struct SetBlock {
  std::string target;
  std::vector<Suffix> filters; ///< {% set x | trim %}
  Body body;
};
/// {% filter upper | trim %}
struct FilterBlock {
  std::vector<Suffix> filters;
  Body body;
};
/// {% with a = 1, b = 2 %}
struct With {
  std::vector<std::pair<std::string, ExpressionPtr>> variables;
  Body body;
};
struct Parameter {
  std::string name;
  ExpressionPtr fallback; ///< may be null
};
struct Macro {
  std::string name;
  std::vector<Parameter> parameters;
  Body body;
};
/// {% call(parameters) callee(...) %}: the callee is given the body as the macro `caller`.
struct CallBlock {
  Macro caller;
  ExpressionPtr callee;
  Arguments arguments;
  std::vector<Suffix> filters; ///< behind the call
};
/// {% generation %}: transformers marks the assistant's text with it; prints its body.
struct Generation {
  Body body;
};
struct Break {};
struct Continue {};

struct Statement {
  template <class Node>
  Statement(u32 at, Node content) : line(at), node(std::move(content)) {}

  u32 line;
  std::variant<TextOutput, Output, If, For, Set, SetBlock, FilterBlock, With, CallBlock, Macro,
               Generation, Break, Continue>
      node;
};

} // namespace talaria::model::jinja
