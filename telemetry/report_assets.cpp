#include "telemetry/report_assets.hpp"

// The assembler puts the bytes in place: as a string literal 250 KB would take the compiler longer
// than the rest of this library. The paths come from CMake.
#define TALARIA_ASSET(name, path)                                                                  \
  asm(".section .rodata\n"                                                                         \
      ".global talaria_asset_" #name "\n"                                                          \
      ".global talaria_asset_" #name "_end\n"                                                      \
      "talaria_asset_" #name ":\n"                                                                 \
      ".incbin \"" path "\"\n"                                                                     \
      "talaria_asset_" #name "_end:\n"                                                             \
      ".previous\n");                                                                              \
  extern "C" const char talaria_asset_##name[];                                                    \
  extern "C" const char talaria_asset_##name##_end[];                                              \
  namespace talaria::telemetry::assets {                                                           \
  std::string_view name() noexcept {                                                               \
    return {talaria_asset_##name, talaria_asset_##name##_end};                                     \
  }                                                                                                \
  }                                                                                                \
  static_assert(true)

TALARIA_ASSET(page, TALARIA_REPORT_FOLDER "/page.html");
TALARIA_ASSET(style, TALARIA_REPORT_FOLDER "/page.css");
TALARIA_ASSET(script, TALARIA_REPORT_FOLDER "/page.js");
TALARIA_ASSET(d3, TALARIA_D3);
