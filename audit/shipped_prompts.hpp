#pragma once

#include <string_view>

namespace talaria::audit {

/// Prompts to use if the user gives none; text held out when the shipped model was trained.
std::string_view shipped_prompts() noexcept;

} // namespace talaria::audit
