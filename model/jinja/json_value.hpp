#pragma once

#include <string_view>

#include "model/jinja/value.hpp"

namespace talaria::model::jinja {

/// What Python's json.loads makes of `text`, the order of fields kept. Every string in it, the
/// names of fields too, is of `origin`.
/// @throws Error{usage} for text that is not JSON; Error through `site` if it is nested too deeply
Value from_json(std::string_view text, Origin origin, const Site& site);

} // namespace talaria::model::jinja
