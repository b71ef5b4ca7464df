#pragma once

#include <string>
#include <string_view>

namespace talaria::model {

/// A pattern for PCRE2 (UTF, UCP, multi-line) that matches what `pattern` matches in Oniguruma with
/// Ruby syntax, which the `tokenizers` library uses. Where the two libraries read a construct
/// differently it is rewritten (`\s`, `\v`, `\uHHHH`, scripts) or refused.
/// @throws Error{model} beginning with `where` and naming the construct.
std::string pcre2_from_oniguruma(std::string_view pattern, const std::string& where);

} // namespace talaria::model
