#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "model/jinja/budget.hpp"

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

/// The variable `loop` of one pass through a for statement.
struct Loop {
  std::shared_ptr<const std::vector<Value>> items;
  std::size_t index0 = 0;
};

enum class Function { namespace_, range, dict, raise_exception };

using Text = std::shared_ptr<const std::string>;

class Value {
public:
  Value() : data_(Undefined{}) {}
  Value(Undefined value) : data_(std::move(value)) {}
  Value(None) : data_(None{}) {}
  explicit Value(bool value) : data_(value) {}
  Value(i64 value) : data_(value) {}
  Value(std::string value) : data_(std::make_shared<const std::string>(std::move(value))) {}
  Value(Text value) : data_(std::move(value)) {}
  Value(Namespace* value) : data_(value) {}
  Value(const Macro* value) : data_(value) {}
  Value(Function value) : data_(value) {}
  Value(std::shared_ptr<const Loop> value) : data_(std::move(value)) {}
  /// @throws Error through `site` if lists are nested too deeply, or a transient would be kept.
  static Value list(std::vector<Value> items, Sequence kind, const Site& site);
  static Value dict(std::vector<std::pair<Value, Value>> items, const Site& site);

  bool is_undefined() const { return get<Undefined>() != nullptr; }
  bool is_none() const { return get<None>() != nullptr; }
  /// An iterator or `loop`: neither outlives the statement it appears in, nor may be kept.
  bool is_transient() const;
  const std::string* text() const;
  const List* list() const;
  const Dict* dict() const;
  const Loop* loop() const;
  /// An integer, or a bool as 0 or 1.
  const i64* integer() const;
  const bool* boolean() const { return get<bool>(); }
  Namespace* name_space() const;
  const Macro* macro() const;
  const Function* function() const { return get<Function>(); }
  const Undefined* undefined() const { return get<Undefined>(); }

private:
  using Data = std::variant<Undefined, None, bool, i64, Text, std::shared_ptr<const List>,
                            std::shared_ptr<const Dict>, std::shared_ptr<const Loop>, Namespace*,
                            const Macro*, Function>;
  template <class T>
  const T* get() const {
    return std::get_if<T>(&data_);
  }
  Data data_;
};

/// Python's name for the kind of value, for messages.
std::string_view type_name(const Value& value);
bool truthy(const Value& value);
/// Python's ==.
bool equal(const Value& left, const Value& right, const Site& site);
/// Python's str().
std::string to_text(const Value& value, const Site& site);
/// What iterating over `value` yields.
std::vector<Value> iterate(const Value& value, const Site& site);
/// json.dumps(value, ensure_ascii=False, indent=indent); no indent below 0.
std::string to_json(const Value& value, i64 indent, const Site& site);

} // namespace talaria::model::jinja
