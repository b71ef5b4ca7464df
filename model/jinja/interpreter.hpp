#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/chat_date.hpp"
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
  /// The date that strftime_now shows; without one it is not defined.
  void set_clock(const ChatDate& date) { date_ = date; }
  MarkedText run();

private:
  enum class Flow { normal, break_, continue_ };
  class Level;
  class ScopeGuard;

  Site site(u32 line) { return Site(file_, line, budget_); }

  Flow execute(const Body& body, MarkedText& out);
  Flow execute(const Statement& statement, MarkedText& out);
  Flow execute_if(const If& statement, MarkedText& out);
  Flow execute_for(const For& statement, const Site& at, MarkedText& out);
  std::vector<Value> loop_items(const For& statement, const Site& at);
  void execute_set(const Set& statement, const Site& at);
  Flow execute_capture(const SetBlock& statement, const Site& at);
  Flow execute_filter(const FilterBlock& statement, const Site& at, MarkedText& out);
  Flow execute_with(const With& statement, const Site& at, MarkedText& out);
  void execute_call(const CallBlock& statement, const Site& at, MarkedText& out);
  Flow execute_scoped(const Body& body, MarkedText& out);
  void print(const MarkedText& text, const Site& at, MarkedText& out);
  void check_room(std::size_t more, const Site& at, const MarkedText& out);

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

  Value apply_filters(const std::vector<Suffix>& filters, Value value);
  Value call(const Value& callee, const ArgumentValues& arguments, const Site& at);
  /// `scopes`: those that the macro sees besides its own and the root.
  Value call_macro(const Macro& macro, const ArgumentValues& arguments, const Site& at,
                   std::vector<Variables> scopes = {}, const Value* caller = nullptr);
  Value call_function(Function function, const ArgumentValues& arguments, const Site& at);
  Value make_namespace(const ArgumentValues& arguments, const Site& at);
  Value make_dict(const ArgumentValues& arguments, const Site& at);
  Value now(const ArgumentValues& arguments, const Site& at);
  Value make_range(const ArgumentValues& arguments, const Site& at);

  const Body& body_;
  const std::string& file_;
  Budget budget_;
  int nesting_ = 0;
  Variables root_;
  std::vector<Variables> scopes_; // innermost last; a macro sees only its own and the root
  bool in_macro_ = false;
  std::optional<ChatDate> date_;
  std::vector<std::unique_ptr<Namespace>> namespaces_;
};

} // namespace talaria::model::jinja
