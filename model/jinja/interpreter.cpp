#include "model/jinja/interpreter.hpp"

#include <algorithm>

namespace talaria::model::jinja {

/// Held while something is executed inside of something else.
class Interpreter::Level {
public:
  Level(Interpreter& interpreter, const Site& at) : interpreter_(interpreter) {
    if (interpreter_.nesting_ >= max_call_nesting) at.fail("the template nests too deeply");
    ++interpreter_.nesting_;
  }
  ~Level() { --interpreter_.nesting_; }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;

private:
  Interpreter& interpreter_;
};

class Interpreter::ScopeGuard {
public:
  explicit ScopeGuard(Interpreter& interpreter) : scopes_(interpreter.scopes_) {
    scopes_.emplace_back();
  }
  ~ScopeGuard() { scopes_.pop_back(); }
  ScopeGuard(const ScopeGuard&) = delete;
  ScopeGuard& operator=(const ScopeGuard&) = delete;

private:
  std::vector<Variables>& scopes_;
};

MarkedText Interpreter::run() {
  MarkedText out;
  execute(body_, out);
  return out;
}

void Interpreter::check_room(std::size_t more, const Site& at, const MarkedText& out) {
  if (out.size() + more > max_output) at.charge_text(max_output + 1);
  at.charge(more / 16);
}

void Interpreter::print(const MarkedText& text, const Site& at, MarkedText& out) {
  check_room(text.size(), at, out);
  out.append(text);
}

Interpreter::Flow Interpreter::execute(const Body& body, MarkedText& out) {
  for (const Statement& statement : body) {
    const Flow flow = execute(statement, out);
    if (flow != Flow::normal) return flow;
  }
  return Flow::normal;
}

Interpreter::Flow Interpreter::execute(const Statement& statement, MarkedText& out) {
  const Site at = site(statement.line);
  const Level level(*this, at);
  at.charge(1);
  if (const auto* text = std::get_if<TextOutput>(&statement.node)) {
    check_room(text->text.size(), at, out);
    out.append(text->text);
  } else if (const auto* output = std::get_if<Output>(&statement.node)) {
    print(to_text(evaluate(*output->value), at), at, out);
  } else if (const auto* branches = std::get_if<If>(&statement.node)) {
    return execute_if(*branches, out);
  } else if (const auto* loop = std::get_if<For>(&statement.node)) {
    return execute_for(*loop, at, out);
  } else if (const auto* set = std::get_if<Set>(&statement.node)) {
    execute_set(*set, at);
  } else if (const auto* block = std::get_if<SetBlock>(&statement.node)) {
    return execute_capture(*block, at);
  } else if (const auto* filtered = std::get_if<FilterBlock>(&statement.node)) {
    return execute_filter(*filtered, at, out);
  } else if (const auto* with = std::get_if<With>(&statement.node)) {
    return execute_with(*with, at, out);
  } else if (const auto* call_block = std::get_if<CallBlock>(&statement.node)) {
    execute_call(*call_block, at, out);
  } else if (const auto* macro = std::get_if<Macro>(&statement.node)) {
    if (!scopes_.empty()) at.fail("a macro inside of a loop or macro is not supported");
    assign(macro->name, macro, at);
  } else if (const auto* generation = std::get_if<Generation>(&statement.node)) {
    return execute_scoped(generation->body, out);
  } else {
    return std::holds_alternative<Break>(statement.node) ? Flow::break_ : Flow::continue_;
  }
  return Flow::normal;
}

Interpreter::Flow Interpreter::execute_scoped(const Body& body, MarkedText& out) {
  const ScopeGuard scope(*this);
  return execute(body, out);
}

Interpreter::Flow Interpreter::execute_capture(const SetBlock& statement, const Site& at) {
  MarkedText captured;
  const Flow flow = execute_scoped(statement.body, captured);
  if (flow != Flow::normal) return flow;
  assign(statement.target, apply_filters(statement.filters, Value(std::move(captured))), at);
  return Flow::normal;
}

Interpreter::Flow Interpreter::execute_filter(const FilterBlock& statement, const Site& at,
                                              MarkedText& out) {
  MarkedText captured;
  const Flow flow = execute_scoped(statement.body, captured);
  if (flow != Flow::normal) return flow;
  print(to_text(apply_filters(statement.filters, Value(std::move(captured))), at), at, out);
  return Flow::normal;
}

Interpreter::Flow Interpreter::execute_with(const With& statement, const Site& at,
                                            MarkedText& out) {
  std::vector<Value> values; // none of which sees the variables
  for (const auto& variable : statement.variables) values.push_back(evaluate(*variable.second));
  const ScopeGuard scope(*this);
  for (std::size_t i = 0; i < values.size(); ++i)
    assign(statement.variables[i].first, std::move(values[i]), at);
  return execute(statement.body, out);
}

void Interpreter::execute_call(const CallBlock& statement, const Site& at, MarkedText& out) {
  const Value callee = evaluate(*statement.callee);
  const ArgumentValues arguments = evaluate(statement.arguments);
  if (callee.macro() == nullptr) at.fail("a call block calls {}, not a macro", type_name(callee));
  const Value caller = std::make_shared<const Closure>(Closure{&statement.caller, scopes_});
  const Value value = call_macro(*callee.macro(), arguments, at, {}, &caller);
  print(to_text(apply_filters(statement.filters, value), at), at, out);
}

Interpreter::Flow Interpreter::execute_if(const If& statement, MarkedText& out) {
  for (const auto& [condition, body] : statement.branches) {
    if (truthy(evaluate(*condition))) return execute(body, out);
  }
  return execute(statement.otherwise, out);
}

std::vector<Value> Interpreter::loop_items(const For& statement, const Site& at) {
  std::vector<Value> items = iterate(evaluate(*statement.items), at);
  if (!statement.condition) return items;
  std::vector<Value> chosen;
  for (Value& item : items) {
    const ScopeGuard scope(*this);
    scopes_.back().emplace_back("loop", Undefined{"loop"});
    unpack(statement.targets, item, at);
    if (truthy(evaluate(*statement.condition))) chosen.push_back(std::move(item));
  }
  return chosen;
}

Interpreter::Flow Interpreter::execute_for(const For& statement, const Site& at, MarkedText& out) {
  const auto state = std::make_shared<LoopState>();
  state->items = loop_items(statement, at);
  bool completed = false; // an iteration ran to its end, without break or continue
  for (std::size_t i = 0; i < state->items.size(); ++i) {
    at.charge(8);
    const ScopeGuard scope(*this);
    scopes_.back().emplace_back("loop", std::make_shared<const Loop>(Loop{state, i}));
    unpack(statement.targets, state->items[i], at);
    const Flow flow = execute(statement.body, out);
    completed |= flow == Flow::normal;
    if (flow == Flow::break_) break;
  }
  // This is when Jinja2 takes the else branch, not only when there was nothing to iterate over.
  return completed ? Flow::normal : execute_scoped(statement.otherwise, out);
}

void Interpreter::execute_set(const Set& statement, const Site& at) {
  Value value = evaluate(*statement.value);
  if (statement.attribute.empty()) return unpack(statement.targets, std::move(value), at);
  Namespace* space = lookup(statement.targets[0], at).name_space();
  if (space == nullptr)
    at.fail("set {}.{}: only a namespace can change", statement.targets[0], statement.attribute);
  if (value.is_transient()) at.fail("{} cannot be kept", type_name(value));
  for (auto& [key, known] : space->items) {
    at.charge(1);
    if (key != statement.attribute) continue;
    known = std::move(value);
    return;
  }
  space->items.emplace_back(statement.attribute, std::move(value));
}

void Interpreter::assign(const std::string& name, Value value, const Site& at) {
  if (value.is_transient()) at.fail("{} cannot be kept in {}", type_name(value), name);
  Variables& scope = scopes_.empty() ? root_ : scopes_.back();
  for (auto& [key, known] : scope) {
    if (key != name) continue;
    known = std::move(value);
    return;
  }
  scope.emplace_back(name, std::move(value));
}

void Interpreter::unpack(const std::vector<std::string>& targets, Value value, const Site& at) {
  if (targets.size() == 1) return assign(targets[0], std::move(value), at);
  if (value.is_undefined()) at.fail("undefined cannot be unpacked");
  std::vector<Value> parts = iterate(value, at);
  if (parts.size() != targets.size())
    at.fail("{} values for {} names", parts.size(), targets.size());
  for (std::size_t i = 0; i < parts.size(); ++i) assign(targets[i], std::move(parts[i]), at);
}

Value Interpreter::lookup(const std::string& name, const Site& at) {
  static const std::pair<std::string_view, Function> functions[] = {
      {"namespace", Function::namespace_},
      {"range", Function::range},
      {"dict", Function::dict},
      {"raise_exception", Function::raise_exception},
      {"strftime_now", Function::strftime_now}};
  static constexpr std::string_view unsupported[] = {"cycler", "joiner", "lipsum", "self"};
  static constexpr std::string_view implicit[] = {"varargs", "kwargs"};
  const auto find = [&](const Variables& scope) -> const Value* {
    at.charge(1 + scope.size() / 8);
    for (const auto& [key, value] : scope) {
      if (key == name) return &value;
    }
    return nullptr;
  };
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
    if (const Value* found = find(*scope)) return *found;
  }
  if (const Value* found = find(root_)) return *found;
  for (const auto& [key, function] : functions) {
    if (key == name && (date_ || function != Function::strftime_now)) return function;
  }
  const auto among = [&](const auto& names) {
    return std::find(std::begin(names), std::end(names), name) != std::end(names);
  };
  if (among(unsupported) || (in_macro_ && among(implicit)))
    at.fail("the name {} is not supported", name);
  return Undefined{name};
}

namespace {

void check_arguments(const Macro& macro, const ArgumentValues& arguments, const Site& at) {
  if (arguments.positional.size() > macro.parameters.size())
    at.fail("the macro {} takes {} arguments", macro.name, macro.parameters.size());
  for (const auto& argument : arguments.named) {
    const auto place = std::find_if(macro.parameters.begin(), macro.parameters.end(),
                                    [&](const Parameter& p) { return p.name == argument.first; });
    if (place == macro.parameters.end())
      at.fail("the macro {} takes no {}", macro.name, argument.first);
    if (static_cast<std::size_t>(place - macro.parameters.begin()) < arguments.positional.size())
      at.fail("the macro {} is given {} twice", macro.name, argument.first);
  }
}

} // namespace

Value Interpreter::call_macro(const Macro& macro, const ArgumentValues& arguments, const Site& at,
                              std::vector<Variables> scopes, const Value* caller) {
  const Level level(*this, at);
  check_arguments(macro, arguments, at);
  at.charge(8 * scopes.size());
  scopes.emplace_back();
  if (caller != nullptr) scopes.back().emplace_back("caller", *caller);
  std::vector<Variables> outer = std::exchange(scopes_, std::move(scopes));
  const bool in_macro = std::exchange(in_macro_, true);
  MarkedText out;
  try {
    for (std::size_t i = 0; i < macro.parameters.size(); ++i) {
      const Parameter& parameter = macro.parameters[i];
      const Value* given = arguments.find(i, parameter.name);
      Value value = given != nullptr     ? *given
                    : parameter.fallback ? evaluate(*parameter.fallback)
                                         : Value(Undefined{parameter.name});
      assign(parameter.name, std::move(value), at);
    }
    execute(macro.body, out);
  } catch (...) {
    scopes_ = std::move(outer); // the guards of the caller's scopes are still to run
    throw;
  }
  scopes_ = std::move(outer);
  in_macro_ = in_macro;
  return out;
}

} // namespace talaria::model::jinja
