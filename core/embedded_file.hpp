#pragma once

#include <string_view>

/// Puts the bytes of a file into the program under `symbol`, a name of its own in the whole
/// program; at the top of a .cpp file, outside any namespace. `path` is a string literal, from
/// CMake, which also has to name the file among the OBJECT_DEPENDS of the .cpp file. The assembler
/// does it: as a string literal a page would take the compiler longer than the rest of its library.
///
///   TALARIA_EMBED(talaria_report_page, TALARIA_REPORT_FOLDER "/page.html");
///   std::string_view page() { return TALARIA_EMBEDDED(talaria_report_page); }
#define TALARIA_EMBED(symbol, path)                                                                \
  asm(".section .rodata\n"                                                                         \
      ".global " #symbol "\n"                                                                      \
      ".global " #symbol "_end\n" #symbol ":\n"                                                    \
      ".incbin \"" path "\"\n" #symbol "_end:\n"                                                   \
      ".previous\n");                                                                              \
  extern "C" const char symbol[];                                                                  \
  extern "C" const char symbol##_end[];                                                            \
  static_assert(true)

/// What TALARIA_EMBED put under `symbol`.
#define TALARIA_EMBEDDED(symbol) std::string_view(symbol, symbol##_end)
