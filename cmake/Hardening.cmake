# What somebody who finds a memory error meets. tests/e2e/hardened_build_test.cpp reads the result from
# the ELF headers of the programs, so that a toolchain without one of these is noticed.
include_guard()

add_compile_options("$<$<COMPILE_LANGUAGE:C,CXX>:-fPIE;-fstack-protector-strong;-fstack-clash-protection>")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  add_compile_options("$<$<COMPILE_LANGUAGE:C,CXX>:-fcf-protection=full>")
endif()
# Checked calls of the C library need optimisation, and sanitizers bring checks of their own.
if(NOT TALARIA_SANITIZE AND NOT TALARIA_FUZZ)
  add_compile_options("$<$<COMPILE_LANGUAGE:C,CXX>:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=2>")
endif()
add_link_options(-pie -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
