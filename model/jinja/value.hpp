#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "model/jinja/budget.hpp"
#include "model/marked_text.hpp"

namespace talaria::model::jinja {

class Value;
struct Macro;

/// A name, attribute or item that does not exist: prints as nothing, is false, has no attributes.
struct Undefined {
  std::string name;
};
struct None {};

/// What Python would have: only lists and tuples can be printed, compared and joined; an iterator
/// can be walked once, and so is never kept.
enum class Sequence { list, tuple, range, view, iterator };

struct List {
  std::vector<Value> items;
  Sequence kind = Sequence::list;
  int depth = 1; ///< of lists in lists
};

struct Dict {
  std::vector<std::pair<Value, Value>> items;
  int depth = 1;
  /// Index of `key`, or items.size().
  std::size_t position(const Value& key) const;
  const Value* find(const Value& key) const;
};

/// namespace(): the only value that can change. Owned by the interpreter, so that no cycle leaks.
struct Namespace {
  std::vector<std::pair<std::string, Value>> items;
};

struct LoopState;

/// The variable `loop` of one pass through a for statement.
struct Loop {
  std::shared_ptr<LoopState> state;
  std::size_t index0 = 0;
};

enum class Function { namespace_, range, dict, raise_exception, strftime_now };

using Text = std::shared_ptr<const MarkedText>;

/// A macro with the scopes that it was made in: what a call block hands over as `caller`.
struct Closure;

class Value {
public:
  Value() : data_(Undefined{}) {}
  Value(Undefined value) : data_(std::move(value)) {}
  Value(None) : data_(None{}) {}
  explicit Value(bool value) : data_(value) {}
  Value(i64 value) : data_(value) {}
  explicit Value(double value) : data_(value) {}
  Value(MarkedText value) : data_(std::make_shared<const MarkedText>(std::move(value))) {}
  /// A text of the template's author.
  Value(std::string value) : Value(MarkedText(std::move(value))) {}
  Value(Namespace* value) : data_(value) {}
  Value(const Macro* value) : data_(value) {}
  Value(Function value) : data_(value) {}
  Value(std::shared_ptr<const Loop> value) : data_(std::move(value)) {}
  Value(std::shared_ptr<const Closure> value) : data_(std::move(value)) {}
  /// @throws Error through `site` if lists are nested too deeply, or a transient would be kept.
  static Value list(std::vector<Value> items, Sequence kind, const Site& site);
  static Value dict(std::vector<std::pair<Value, Value>> items, const Site& site);

  bool is_undefined() const { return get<Undefined>() != nullptr; }
  bool is_none() const { return get<None>() != nullptr; }
  /// An iterator or `loop`: neither outlives the statement it appears in, nor may be kept.
  bool is_transient() const;
  const std::string* text() const;
  /// The text with its origins.
  const MarkedText* marked() const;
  /// A text that `safe` or `escape` has made: HTML, which Jinja2 escapes other text for.
  bool is_markup() const { return markup_; }
  Value as_markup() const;
  const List* list() const;
  const Dict* dict() const;
  const Loop* loop() const;
  /// An integer, or a bool as 0 or 1.
  const i64* integer() const;
  const bool* boolean() const { return get<bool>(); }
  const double* real() const { return get<double>(); }
  Namespace* name_space() const;
  const Macro* macro() const;
  const Closure* closure() const;
  const Function* function() const { return get<Function>(); }
  const Undefined* undefined() const { return get<Undefined>(); }

private:
  using Data = std::variant<Undefined, None, bool, i64, double, Text, std::shared_ptr<const List>,
                            std::shared_ptr<const Dict>, std::shared_ptr<const Loop>, Namespace*,
                            const Macro*, std::shared_ptr<const Closure>, Function>;
  template <class T>
  const T* get() const {
    return std::get_if<T>(&data_);
  }
  Data data_;
  bool markup_ = false;
};

/// What all passes of one for statement share.
struct LoopState {
  std::vector<Value> items;
  std::vector<Value> changed; ///< the arguments of the last call of loop.changed
  bool was_called = false;
};

struct Closure {
  const Macro* macro;
  std::vector<std::vector<std::pair<std::string, Value>>> scopes;
};

/// How json.dumps lays a value out.
struct JsonStyle {
  i64 indent = -1; ///< none below 0
  bool ascii = false;
  bool sorted = false;
  std::string between_items = ", ", behind_key = ": ";
};

/// Python's name for the kind of value, for messages.
std::string_view type_name(const Value& value);
bool truthy(const Value& value);
/// Python's ==.
bool equal(const Value& left, const Value& right, const Site& site);
/// An integer, bool or float as a float.
std::optional<double> number(const Value& value);
/// Python's str().
MarkedText to_text(const Value& value, const Site& site);
/// Python's repr().
MarkedText representation(const Value& value, const Site& site);
/// repr() of a float: the shortest digits that read back as the same.
std::string float_text(double value);
/// What iterating over `value` yields.
std::vector<Value> iterate(const Value& value, const Site& site);
MarkedText to_json(const Value& value, const JsonStyle& style, const Site& site);

} // namespace talaria::model::jinja
