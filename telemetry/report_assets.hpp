#pragma once

#include <string_view>

/// The files that a report is made of, as they were when the program was built.
namespace talaria::telemetry::assets {

std::string_view page() noexcept;
std::string_view style() noexcept;
std::string_view script() noexcept;
std::string_view d3() noexcept; ///< D3 (https://d3js.org), minified

} // namespace talaria::telemetry::assets
