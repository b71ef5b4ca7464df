#include "model/adapter/module_pattern.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <fmt/format.h>

#include "arch/json_fields.hpp"
#include "core/error.hpp"
#include "core/integers.hpp"

namespace talaria::model {

namespace {

constexpr u32 kMostSteps = 1'000'000; // of one name, which has some 60 characters

struct FreeModuleMatch {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};

} // namespace

struct ModulePattern::Code {
  explicit Code(pcre2_code* compiled) : regex(compiled) {}
  ~Code() { pcre2_code_free(regex); }
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  pcre2_code* regex;
};

ModulePattern::ModulePattern(ModulePattern&&) noexcept = default;
ModulePattern& ModulePattern::operator=(ModulePattern&&) noexcept = default;
ModulePattern::~ModulePattern() = default;

ModulePattern::ModulePattern(const std::string& expression, const std::string& where)
    : where_(where) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  constexpr u32 kOptions = PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_NEVER_BACKSLASH_C;
  pcre2_code* const code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()),
                                         expression.size(), kOptions, &error, &offset, nullptr);
  if (code == nullptr)
    throw Error(Errc::model, fmt::format("{} is \"{}\", which is no regular expression (at "
                                         "character {})",
                                         where_, printable(expression), offset));
  code_ = std::make_unique<Code>(code);
}

std::optional<std::string> ModulePattern::group(std::string_view module, unsigned index) const {
  const std::unique_ptr<pcre2_match_data, FreeModuleMatch> data(
      pcre2_match_data_create_from_pattern(code_->regex, nullptr));
  const std::unique_ptr<pcre2_match_context, FreeModuleMatch> context(
      pcre2_match_context_create(nullptr));
  pcre2_set_match_limit(context.get(), kMostSteps);
  const int result = pcre2_match(code_->regex, reinterpret_cast<PCRE2_SPTR>(module.data()),
                                 module.size(), 0, 0, data.get(), context.get());
  if (result == PCRE2_ERROR_NOMATCH) return std::nullopt;
  if (result < 0)
    throw Error(Errc::model,
                fmt::format("{}: the expression takes too much work on the name of a module; "
                            "write a simpler one",
                            where_));
  const PCRE2_SIZE* const bounds = pcre2_get_ovector_pointer(data.get());
  if (index >= static_cast<unsigned>(result)) return std::string(); // took no part in the match
  return std::string(module.substr(bounds[2 * index], bounds[2 * index + 1] - bounds[2 * index]));
}

} // namespace talaria::model
