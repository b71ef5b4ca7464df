#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "model/jinja/arguments.hpp"
#include "model/jinja/ast.hpp"

namespace talaria::model::jinja {

using Variables = std::vector<std::pair<std::string, Value>>;

/// Renders one template once.
class Interpreter {
public:
  /// `file` appears in messages. Borrows everything for its lifetime.
  Interpreter(const Body& body, const std::string& file) : body_(body), file_(file) {}

  void define(std::string name, Value value) {
    root_.emplace_back(std::move(name), std::move(value));
  }
  Budget& budget() noexcept { return budget_; }
  std::string run();

private:
  enum class Flow { normal, break_, continue_ };
  class Level;
  class ScopeGuard;

  Site site(u32 line) { return Site(file_, line, budget_); }

  Flow execute(const Body& body, std::string& out);
  Flow execute(const Statement& statement, std::string& out);
  Flow execute_if(const If& statement, std::string& out);
  Flow execute_for(const For& statement, const Site& at, std::string& out);
  std::vector<Value> loop_items(const For& statement, const Site& at);
  void execute_set(const Set& statement, const Site& at);
  Flow execute_scoped(const Body& body, std::string& out);
  void print(const std::string& text, const Site& at, std::string& out);

  void assign(const std::string& name, Value value, const Site& at);
  void unpack(const std::vector<std::string>& targets, Value value, const Site& at);
  Value lookup(const std::string& name, const Site& at);

  Value evaluate(const Expression& expression);
  Value evaluate_node(const Name& node, const Site& at);
  Value evaluate_node(const Literal& node, const Site& at);
  Value evaluate_node(const ListDisplay& node, const Site& at);
  Value evaluate_node(const DictDisplay& node, const Site& at);
  Value evaluate_node(const Negation& node, const Site& at);
  Value evaluate_node(const Arithmetic& node, const Site& at);
  Value evaluate_node(const Comparison& node, const Site& at);
  Value evaluate_node(const Logical& node, const Site& at);
  Value evaluate_node(const Conditional& node, const Site& at);
  Value evaluate_node(const Chain& node, const Site& at);
  Value apply_suffix(const Suffix& suffix, const Value& value);
  ArgumentValues evaluate(const Arguments& arguments);
  Value bound(const ExpressionPtr& expression);

  Value call(const Value& callee, const ArgumentValues& arguments, const Site& at);
  Value call_macro(const Macro& macro, const ArgumentValues& arguments, const Site& at);
  Value call_function(Function function, const ArgumentValues& arguments, const Site& at);
  Value make_namespace(const ArgumentValues& arguments, const Site& at);
  Value make_range(const ArgumentValues& arguments, const Site& at);

  const Body& body_;
  const std::string& file_;
  Budget budget_;
  int nesting_ = 0;
  Variables root_;
  std::vector<Variables> scopes_; // innermost last; a macro sees only its own and the root
  bool in_macro_ = false;
  std::vector<std::unique_ptr<Namespace>> namespaces_;
};

} // namespace talaria::model::jinja
