#include "gateway/dashboard_page.hpp"

#include <fmt/format.h>

#include <string_view>

#include "attest/evidence/encodings.hpp"
#include "core/digest.hpp"
#include "core/embedded_file.hpp"

TALARIA_EMBED(talaria_dashboard_page, TALARIA_DASHBOARD_FOLDER "/page.html");
TALARIA_EMBED(talaria_dashboard_style, TALARIA_DASHBOARD_FOLDER "/page.css");
TALARIA_EMBED(talaria_dashboard_script, TALARIA_DASHBOARD_FOLDER "/page.js");

namespace talaria::gateway {

namespace {

/// What stands between the tags of an element, as the policy names it.
std::string digest_of(std::string_view text) {
  const auto digest = sha256({reinterpret_cast<const u8*>(text.data()), text.size()});
  std::string base64 = attest::to_base64url({digest.data(), digest.size()}) + "=";
  for (char& c : base64) c = c == '-' ? '+' : c == '_' ? '/' : c;
  return fmt::format("'sha256-{}'", base64);
}

void fill_in(std::string& page, std::string_view mark, std::string_view text) {
  page.replace(page.find(mark), mark.size(), text);
}

} // namespace

DashboardPage dashboard_page() {
  const std::string_view style = TALARIA_EMBEDDED(talaria_dashboard_style);
  const std::string_view script = TALARIA_EMBEDDED(talaria_dashboard_script);
  DashboardPage out;
  out.html = std::string(TALARIA_EMBEDDED(talaria_dashboard_page));
  fill_in(out.html, "{{style}}", style);
  fill_in(out.html, "{{script}}", script);
  out.policy = fmt::format("default-src 'none'; script-src {}; style-src {}; connect-src 'self'; "
                           "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
                           digest_of(script), digest_of(style));
  return out;
}

} // namespace talaria::gateway
