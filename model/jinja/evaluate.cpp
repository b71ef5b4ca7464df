#include "model/jinja/builtins.hpp"
#include "model/jinja/interpreter.hpp"
#include "model/jinja/operators.hpp"
#include "model/one_line.hpp"

namespace talaria::model::jinja {

namespace {

constexpr i64 max_range = 100'000; // as Jinja2's sandbox

} // namespace

Value Interpreter::evaluate(const Expression& expression) {
  const Site at = site(expression.line);
  if (nesting_ >= max_call_nesting) at.fail("the template nests too deeply");
  at.charge(1);
  ++nesting_; // not undone by an exception: that ends the rendering
  Value out =
      std::visit([&](const auto& node) { return evaluate_node(node, at); }, expression.node);
  --nesting_;
  return out;
}

Value Interpreter::evaluate_node(const Literal& node, const Site&) {
  return node.value;
}

Value Interpreter::evaluate_node(const Name& node, const Site& at) {
  return lookup(node.name, at);
}

Value Interpreter::evaluate_node(const ListDisplay& node, const Site& at) {
  std::vector<Value> items;
  for (const ExpressionPtr& item : node.items) items.push_back(evaluate(*item));
  return Value::list(std::move(items), node.tuple ? Sequence::tuple : Sequence::list, at);
}

Value Interpreter::evaluate_node(const DictDisplay& node, const Site& at) {
  std::vector<std::pair<Value, Value>> items;
  for (const auto& [key, value] : node.items) {
    Value name = evaluate(*key);
    items.emplace_back(std::move(name), evaluate(*value));
  }
  return Value::dict(std::move(items), at);
}

Value Interpreter::evaluate_node(const Negation& node, const Site& at) {
  return negate(node.symbol, evaluate(*node.operand), at);
}

Value Interpreter::evaluate_node(const Arithmetic& node, const Site& at) {
  Value left = evaluate(*node.first);
  for (const auto& [sign, right] : node.rest) left = arithmetic(sign, left, evaluate(*right), at);
  return left;
}

Value Interpreter::evaluate_node(const Comparison& node, const Site& at) {
  Value left = evaluate(*node.first);
  for (const auto& [sign, operand] : node.rest) {
    Value right = evaluate(*operand);
    if (!compare(sign, left, right, at)) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

/// The operand that decides, as in Python.
Value Interpreter::evaluate_node(const Logical& node, const Site&) {
  Value value;
  for (const ExpressionPtr& operand : node.operands) {
    value = evaluate(*operand);
    if (truthy(value) != node.is_and) break;
  }
  return value;
}

Value Interpreter::evaluate_node(const Conditional& node, const Site&) {
  if (truthy(evaluate(*node.condition))) return evaluate(*node.then);
  return node.otherwise ? evaluate(*node.otherwise) : Value(Undefined{"a condition without else"});
}

Value Interpreter::evaluate_node(const Chain& node, const Site&) {
  Value value = evaluate(*node.base);
  for (std::size_t i = 0; i < node.suffixes.size(); ++i) {
    const Suffix& suffix = node.suffixes[i];
    const auto* name = std::get_if<AttributeOf>(&suffix.use);
    const bool called =
        i + 1 < node.suffixes.size() && std::holds_alternative<Call>(node.suffixes[i + 1].use);
    if (name != nullptr && called && has_method(value, name->name)) {
      const Arguments& arguments = std::get<Call>(node.suffixes[++i].use).arguments;
      value = call_method(value, name->name, evaluate(arguments), site(suffix.line));
    } else {
      value = apply_suffix(suffix, value);
    }
  }
  return value;
}

Value Interpreter::bound(const ExpressionPtr& expression) {
  return expression ? evaluate(*expression) : Value(None{});
}

Value Interpreter::apply_suffix(const Suffix& suffix, const Value& value) {
  const Site at = site(suffix.line);
  at.charge(8); // lookups by name, allocations
  if (const auto* name = std::get_if<AttributeOf>(&suffix.use))
    return attribute(value, name->name, at);
  if (const auto* subscript = std::get_if<Subscript>(&suffix.use))
    return item(value, evaluate(*subscript->index), at);
  if (const auto* range = std::get_if<Slice>(&suffix.use))
    return slice(value, bound(range->start), bound(range->stop), bound(range->step), at);
  if (const auto* use = std::get_if<Call>(&suffix.use))
    return call(value, evaluate(use->arguments), at);
  if (const auto* filter = std::get_if<FilterUse>(&suffix.use))
    return apply_filter(filter->name, value, evaluate(filter->arguments), at);
  const auto& test = std::get<TestUse>(suffix.use);
  return Value(apply_test(test.name, value, evaluate(test.arguments), at) != test.negated);
}

Value Interpreter::apply_filters(const std::vector<Suffix>& filters, Value value) {
  for (const Suffix& filter : filters) value = apply_suffix(filter, value);
  return value;
}

ArgumentValues Interpreter::evaluate(const Arguments& arguments) {
  ArgumentValues out;
  for (const ExpressionPtr& argument : arguments.positional)
    out.positional.push_back(evaluate(*argument));
  for (const auto& [key, argument] : arguments.named)
    out.named.emplace_back(key, evaluate(*argument));
  return out;
}

Value Interpreter::call(const Value& callee, const ArgumentValues& arguments, const Site& at) {
  if (const Macro* macro = callee.macro()) return call_macro(*macro, arguments, at);
  if (const Closure* closure = callee.closure())
    return call_macro(*closure->macro, arguments, at, closure->scopes);
  if (const Function* function = callee.function()) return call_function(*function, arguments, at);
  if (const Undefined* nothing = callee.undefined())
    at.fail("{} is called, which is not defined here", nothing->name);
  at.fail("{} is called, which is not a function", type_name(callee));
}

Value Interpreter::call_function(Function function, const ArgumentValues& arguments,
                                 const Site& at) {
  switch (function) {
  case Function::namespace_:
    return make_namespace(arguments, at);
  case Function::range:
    return make_range(arguments, at);
  case Function::dict:
    return make_dict(arguments, at);
  case Function::strftime_now:
    return now(arguments, at);
  case Function::raise_exception: {
    arguments.check(1, {"message"}, at);
    const std::string words = to_text(arguments.required(0, "message", at), at).text();
    throw Error(Errc::usage, "the chat template refuses: " + one_line(words));
  }
  }
  at.fail("a function is not known");
}

/// dict(mapping or pairs, name=value, ...)
Value Interpreter::make_dict(const ArgumentValues& arguments, const Site& at) {
  std::vector<std::pair<Value, Value>> items;
  if (arguments.positional.size() > 1) at.fail("dict takes at most one argument by place");
  if (!arguments.positional.empty()) {
    const Value& from = arguments.positional[0];
    if (from.dict() != nullptr) {
      items = from.dict()->items;
    } else {
      for (const Value& pair : iterate(from, at)) {
        std::vector<Value> parts = iterate(pair, at);
        if (parts.size() != 2) at.fail("dict is made of pairs, not of {} values", parts.size());
        items.emplace_back(std::move(parts[0]), std::move(parts[1]));
      }
    }
  }
  for (const auto& [name, value] : arguments.named) items.emplace_back(name, value);
  return Value::dict(std::move(items), at);
}

Value Interpreter::now(const ArgumentValues& arguments, const Site& at) {
  arguments.check(1, {"format"}, at);
  const std::string& format = expect_text(arguments.required(0, "format", at), at);
  if (format.size() > 1000) at.fail("strftime_now with a format of more than 1000 bytes");
  return date_->format(format);
}

Value Interpreter::make_namespace(const ArgumentValues& arguments, const Site& at) {
  auto space = std::make_unique<Namespace>();
  const Value items = make_dict(arguments, at);
  for (const auto& [key, value] : items.dict()->items) {
    at.charge(1);
    space->items.emplace_back(expect_text(key, at), value);
  }
  namespaces_.push_back(std::move(space));
  return namespaces_.back().get();
}

Value Interpreter::make_range(const ArgumentValues& arguments, const Site& at) {
  arguments.check(3, {}, at);
  const bool one = arguments.positional.size() == 1;
  const i64 first = expect_integer(arguments.required(0, "start", at), at);
  const i64 start = one ? 0 : first;
  const i64 stop = one ? first : expect_integer(arguments.required(1, "stop", at), at);
  const i64 step = arguments.integer_or(2, "step", 1, at);
  if (step == 0) at.fail("range with step 0");
  std::vector<Value> out;
  i64 next = start;
  while (step > 0 ? next < stop : next > stop) {
    if (static_cast<i64>(out.size()) == max_range) at.fail("a range of more than {}", max_range);
    at.charge(1);
    out.emplace_back(next);
    if (__builtin_add_overflow(next, step, &next)) break;
  }
  return Value::list(std::move(out), Sequence::range, at);
}

} // namespace talaria::model::jinja
