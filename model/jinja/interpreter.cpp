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

std::string Interpreter::run() {
  std::string out;
  execute(body_, out);
  return out;
}

void Interpreter::print(const std::string& text, const Site& at, std::string& out) {
  if (out.size() + text.size() > max_output) at.charge_text(max_output + 1);
  at.charge(text.size() / 16);
  out += text;
}

Interpreter::Flow Interpreter::execute(const Body& body, std::string& out) {
  for (const Statement& statement : body) {
    const Flow flow = execute(statement, out);
    if (flow != Flow::normal) return flow;
  }
  return Flow::normal;
}

Interpreter::Flow Interpreter::execute(const Statement& statement, std::string& out) {
  const Site at = site(statement.line);
  const Level level(*this, at);
  at.charge(1);
  if (const auto* text = std::get_if<TextOutput>(&statement.node)) {
    print(text->text, at, out);
  } else if (const auto* output = std::get_if<Output>(&statement.node)) {
    print(to_text(evaluate(*output->value), at), at, out);
  } else if (const auto* branches = std::get_if<If>(&statement.node)) {
    return execute_if(*branches, out);
  } else if (const auto* loop = std::get_if<For>(&statement.node)) {
    return execute_for(*loop, at, out);
  } else if (const auto* set = std::get_if<Set>(&statement.node)) {
    execute_set(*set, at);
  } else if (const auto* block = std::get_if<SetBlock>(&statement.node)) {
    std::string captured;
    const Flow flow = execute_scoped(block->body, captured);
    if (flow != Flow::normal) return flow;
    assign(block->target, Value(std::move(captured)), at);
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

Interpreter::Flow Interpreter::execute_scoped(const Body& body, std::string& out) {
  const ScopeGuard scope(*this);
  return execute(body, out);
}

Interpreter::Flow Interpreter::execute_if(const If& statement, std::string& out) {
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

Interpreter::Flow Interpreter::execute_for(const For& statement, const Site& at, std::string& out) {
  const auto items = std::make_shared<const std::vector<Value>>(loop_items(statement, at));
  bool completed = false; // an iteration ran to its end, without break or continue
  for (std::size_t i = 0; i < items->size(); ++i) {
    at.charge(8);
    const ScopeGuard scope(*this);
    scopes_.back().emplace_back("loop", std::make_shared<const Loop>(Loop{items, i}));
    unpack(statement.targets, (*items)[i], at);
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
      {"raise_exception", Function::raise_exception}};
  static constexpr std::string_view unsupported[] = {"cycler", "joiner", "lipsum", "self"};
  static constexpr std::string_view implicit[] = {"varargs", "kwargs", "caller"};
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
    if (key == name) return function;
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

Value Interpreter::call_macro(const Macro& macro, const ArgumentValues& arguments, const Site& at) {
  const Level level(*this, at);
  check_arguments(macro, arguments, at);
  std::vector<Variables> outer = std::exchange(scopes_, std::vector<Variables>(1));
  const bool in_macro = std::exchange(in_macro_, true);
  std::string out;
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
