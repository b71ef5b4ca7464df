#include "telemetry/report_assets.hpp"

#include "core/embedded_file.hpp"

TALARIA_EMBED(talaria_report_page, TALARIA_REPORT_FOLDER "/page.html");
TALARIA_EMBED(talaria_report_style, TALARIA_REPORT_FOLDER "/page.css");
TALARIA_EMBED(talaria_report_script, TALARIA_REPORT_FOLDER "/page.js");
TALARIA_EMBED(talaria_report_d3, TALARIA_D3);

namespace talaria::telemetry::assets {

std::string_view page() noexcept {
  return TALARIA_EMBEDDED(talaria_report_page);
}

std::string_view style() noexcept {
  return TALARIA_EMBEDDED(talaria_report_style);
}

std::string_view script() noexcept {
  return TALARIA_EMBEDDED(talaria_report_script);
}

std::string_view d3() noexcept {
  return TALARIA_EMBEDDED(talaria_report_d3);
}

} // namespace talaria::telemetry::assets
