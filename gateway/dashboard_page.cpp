#include "gateway/dashboard_page.hpp"

#include <fmt/format.h>

#include <string_view>

#include "attest/evidence/encodings.hpp"
#include "core/digest.hpp"

// The assembler puts the bytes in place; the paths come from CMake.
#define TALARIA_DASHBOARD_PART(name, file)                                                         \
  asm(".section .rodata\n"                                                                         \
      ".global talaria_dashboard_" #name "\n"                                                      \
      ".global talaria_dashboard_" #name "_end\n"                                                  \
      "talaria_dashboard_" #name ":\n"                                                             \
      ".incbin \"" TALARIA_DASHBOARD_FOLDER "/" file "\"\n"                                        \
      "talaria_dashboard_" #name "_end:\n"                                                         \
      ".previous\n");                                                                              \
  extern "C" const char talaria_dashboard_##name[];                                                \
  extern "C" const char talaria_dashboard_##name##_end[];                                          \
  static_assert(true)

TALARIA_DASHBOARD_PART(page, "page.html");
TALARIA_DASHBOARD_PART(style, "page.css");
TALARIA_DASHBOARD_PART(script, "page.js");

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
  const std::string_view style{talaria_dashboard_style, talaria_dashboard_style_end};
  const std::string_view script{talaria_dashboard_script, talaria_dashboard_script_end};
  DashboardPage out;
  out.html = std::string(talaria_dashboard_page, talaria_dashboard_page_end);
  fill_in(out.html, "{{style}}", style);
  fill_in(out.html, "{{script}}", script);
  out.policy = fmt::format("default-src 'none'; script-src {}; style-src {}; connect-src 'self'; "
                           "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
                           digest_of(script), digest_of(style));
  return out;
}

} // namespace talaria::gateway
