# Third-party libraries, all from Debian bookworm. Each has one door (docs/architecture.md).
find_package(Threads REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
find_package(ZLIB 1.2 REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(fmt 9 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)

find_package(ICU 72 REQUIRED COMPONENTS uc)
find_package(yaml-cpp 0.7 REQUIRED)
find_package(CapnProto 0.9 REQUIRED)

# Drawn with by the pages of `talaria trace report`; becomes part of the program.
find_file(TALARIA_D3 d3.min.js PATHS /usr/share/nodejs/d3/dist REQUIRED)

if(NOT TALARIA_WITHOUT_CAF)
  find_package(CLI11 2.1 REQUIRED)
  find_package(Eigen3 3.4 REQUIRED NO_MODULE) # header-only, behind audit/ alone
  pkg_check_modules(FPLLL REQUIRED IMPORTED_TARGET fplll>=5.4)
  pkg_check_modules(LIBEDIT REQUIRED IMPORTED_TARGET libedit) # BSD, behind cli/ alone
  find_package(prometheus-cpp REQUIRED COMPONENTS core)
  # Debian's CAF 0.17.6 ships neither a CMake package nor a pkg-config file.
  find_path(CAF_INCLUDE_DIR caf/actor_system.hpp REQUIRED)
  find_library(CAF_CORE_LIBRARY caf_core REQUIRED)
  add_library(CAF::core UNKNOWN IMPORTED)
  set_target_properties(CAF::core PROPERTIES IMPORTED_LOCATION "${CAF_CORE_LIBRARY}"
                                             INTERFACE_INCLUDE_DIRECTORIES "${CAF_INCLUDE_DIR}"
                                             INTERFACE_LINK_LIBRARIES Threads::Threads)
endif()
find_package(Boost 1.74 REQUIRED) # Beast's parser, header-only, behind gateway/ alone
if(TALARIA_TESTS)
  find_package(Boost 1.74 REQUIRED COMPONENTS unit_test_framework)
  # A client. The compile flags matter: they decide the layout of the classes in the shared library.
  pkg_check_modules(HTTPLIB REQUIRED IMPORTED_TARGET cpp-httplib>=0.11)
endif()
if(TALARIA_BENCHMARKS)
  find_package(benchmark 1.7 REQUIRED)
endif()
