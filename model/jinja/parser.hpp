#pragma once

#include <string>
#include <string_view>

#include "model/jinja/ast.hpp"

namespace talaria::model::jinja {

/// The statements of a template (valid UTF-8).
/// @throws Error{model} naming `file`, line and construct.
Body parse(std::string_view source, const std::string& file);

} // namespace talaria::model::jinja
