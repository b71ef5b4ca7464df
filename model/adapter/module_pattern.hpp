#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace talaria::model {

/// A regular expression that names modules of a model, as PEFT's configuration has them (Python's
/// `re`, read by PCRE2). It matches whole names.
class ModulePattern {
public:
  /// @throws Error{model} beginning with `where` if it does not compile.
  ModulePattern(const std::string& expression, const std::string& where);
  ModulePattern(ModulePattern&&) noexcept;
  ModulePattern& operator=(ModulePattern&&) noexcept;
  ~ModulePattern();

  /// @throws Error{model} if the expression needs too much work on this name.
  bool matches(std::string_view module) const { return group(module, 0).has_value(); }
  /// What group number `index` of the expression has matched, 0 for all of it; nothing if the
  /// expression does not match. @throws Error{model} as matches().
  std::optional<std::string> group(std::string_view module, unsigned index) const;

private:
  struct Code;
  std::string where_;
  std::unique_ptr<Code> code_;
};

} // namespace talaria::model
