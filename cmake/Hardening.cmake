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

# Macros of OpenSSL record the file that they stand in (__FILE__). Where it is used, such a path is that below the
# sources, so that programs do not depend on the folder in which they were built (scripts/reproduce-packages).
set(TALARIA_PATHS_BELOW_SOURCES "$<$<COMPILE_LANGUAGE:C,CXX>:-ffile-prefix-map=${PROJECT_SOURCE_DIR}/=>")
