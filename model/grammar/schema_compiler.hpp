#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/grammar/json_multiples.hpp"
#include "model/grammar/schema_logic.hpp"

namespace talaria::model::grammar {

/// Turns one schema into rules: json_schema.hpp says what may be expected. Its functions stand in
/// schema_compiler.cpp (which kind of schema), schema_choices.cpp (alternatives), and, for the
/// types of JSON, schema_scalars.cpp, schema_lists.cpp and schema_objects.cpp.
class SchemaCompiler {
public:
  /// Its rules go behind those that there are, which begin with those of anything.
  SchemaCompiler(std::string_view text, Rules& rules);

  /// @throws Error{usage} as json_schema_rules
  Expression root();

private:
  using Json = SchemaJson;
  struct Members;
  struct ListForm;

  [[noreturn]] void fail(const std::string& path, const std::string& what) const;
  [[noreturn]] void nothing(const std::string& path, const std::string& what) const;
  [[noreturn]] void refuse(const std::string& path, const std::string& keyword) const;
  SchemaScope scope(const std::string& path) const;

  /// Every keyword is one that compile() knows, or says nothing about values.
  void check_keywords(const Json& schema, const std::string& path) const;
  Expression compile(const Json& schema, const std::string& path, int depth);
  /// Nothing for a schema that no value matches.
  std::optional<Expression> if_any(const Json& schema, const std::string& path, int depth);
  /// The same as a rule: what stands for many values is compiled once.
  std::optional<Expression> if_any_named(const Json& schema, const std::string& path, int depth);
  Expression constants(const Json& schema, const std::string& path);
  Expression of_types(const Json& schema, const std::string& path, int depth);
  Expression of_type(const std::string& type, const Json& schema, const std::string& path,
                     int depth);
  Expression reference(const Json& schema, const std::string& path, int depth);
  const Json& pointed_at(const Json& target, const std::string& path) const;
  /// A keyword that counts. `otherwise` if it is not there.
  u32 count(const Json& schema, const char* key, const std::string& path, u32 otherwise) const;

  /// One keyword is taken away: what it says is merged into what is left, once for each of its
  /// alternatives.
  Expression combination(const Json& schema, const std::string& key, const std::string& path,
                         int depth);
  std::vector<Json> alternatives(const Json& schema, const std::string& key,
                                 const std::string& path) const;
  std::vector<Json> exclusive(const Json& parts, const std::string& path) const;
  Json merged(const Json& a, const Json& b, const std::string& path);

  Expression text(const Json& schema, const std::string& path);
  Expression bounded_text(const Json& schema, const std::string& path);
  Expression number(const Json& schema, const std::string& path, bool integer);
  std::optional<NumberBound> bound(const Json& schema, const std::string& path, bool lower) const;

  Expression list(const Json& schema, const std::string& path, int depth);
  Expression plain_list(ListForm form, const Json& schema, const std::string& path, int depth);
  Expression containing_list(const ListForm& form, const Json& schema, const std::string& path,
                             int depth);
  Expression unique_list(const std::vector<Json>& values, u32 least, std::optional<u32> most,
                         const std::string& path);
  static Expression values_in_order(const std::vector<Json>& values, u32 least, u32 most);
  bool are_unlike(const ListForm& form, const Json& schema, const std::string& path) const;

  Expression object(const Json& schema, const std::string& path, int depth);
  Members named_members(const Json& schema, const std::string& path, int depth);
  std::optional<Expression> open_members(const Json& schema, const Members& members,
                                         const std::string& path, int depth);
  static std::optional<Expression> members_in_order(const Members& members,
                                                    const std::optional<Expression>& open,
                                                    u32 others, u32 least);

  Json root_;
  Rules& rules_;
  std::map<std::string, std::size_t> references_;
  std::size_t values_ = 0;
  std::size_t merges_ = 0;
  mutable MatchCosts costs_; ///< whatever looks at a value pays
};

} // namespace talaria::model::grammar
