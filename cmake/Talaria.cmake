# One function per kind of target; a folder's CMakeLists.txt is then a list.
include_guard()

add_library(talaria_warnings INTERFACE)
target_compile_options(talaria_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion
                                                  -Wno-sign-conversion)
# GCC 12 sees overlapping copies in string concatenations that are not there (GCC bug 105651).
target_compile_options(talaria_warnings INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
# In a batch (TALARIA_UNITY) a .cpp file is included, which GCC takes for a header.
target_compile_options(talaria_warnings INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)

# Floating point follows one written order everywhere (docs/architecture.md, "Exactness"): the
# compiler may neither fuse a product with a sum nor reorder, so that every SIMD target agrees by ==.
add_library(talaria_exact_float INTERFACE)
target_compile_options(talaria_exact_float INTERFACE -ffp-contract=off -fno-fast-math)

# Most of a clean build is the same headers, parsed over and over, and the same templates, instantiated
# over and over. Files of one target are therefore compiled a few at a time (docs/adr/0010): names in
# anonymous namespaces must differ within a folder. The preset `dev` compiles each file alone.
option(TALARIA_UNITY "Compile the files of a target in batches" ON)
function(talaria_batch name size)
  if(TALARIA_UNITY)
    set_target_properties(${name} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${size})
  endif()
endfunction()

# talaria_library(NAME [PART] [COLD|WARM] SOURCES a.cpp... [HEADERS room/b.hpp...] [USES talaria::x...] [PRIVATE_USES lib...])
# Every .hpp beside the sources is part of the interface and is compiled on its own by
# scripts/check-headers, unless PART says that another library of the folder does that. COLD code
# runs once, formats text or waits for OpenSSL: -O1 spends a third less on compiling it. WARM code runs for every
# token or request without loops over activations: -O2 spends a sixth less.
function(talaria_library name)
  cmake_parse_arguments(ARG "PART;COLD;WARM" "" "SOURCES;HEADERS;USES;PRIVATE_USES" ${ARGN})
  add_library(talaria_${name} STATIC ${ARG_SOURCES})
  add_library(talaria::${name} ALIAS talaria_${name})
  target_include_directories(talaria_${name} PUBLIC ${PROJECT_SOURCE_DIR})
  talaria_batch(talaria_${name} 8)
  target_link_libraries(talaria_${name} PUBLIC ${ARG_USES} talaria_exact_float
                                        PRIVATE ${ARG_PRIVATE_USES} talaria_warnings)
  if(ARG_COLD)
    target_compile_options(talaria_${name} PRIVATE $<$<CONFIG:Release>:-O1>)
  elseif(ARG_WARM)
    target_compile_options(talaria_${name} PRIVATE $<$<CONFIG:Release>:-O2>)
  endif()
  if(ARG_PART)
    return()
  endif()
  talaria_list_headers(${name} ${ARG_HEADERS})
endfunction()

# Lists headers for scripts/check-headers, which compiles each alone with this library's options: those of this folder
# and of the folders below that are no rooms of their own, and more that are named.
function(talaria_list_headers name)
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/*.hpp)
  file(GLOB_RECURSE rooms RELATIVE ${PROJECT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/*/CMakeLists.txt)
  foreach(room ${rooms})
    get_filename_component(room ${room} DIRECTORY)
    list(FILTER headers EXCLUDE REGEX "^${room}/")
  endforeach()
  if(NOT TALARIA_WITH_CUDA) # they include CUDA's
    list(FILTER headers EXCLUDE REGEX "^kernels/cuda/device/")
  endif()
  list(APPEND headers ${ARGN})
  set(content)
  foreach(header ${headers})
    string(APPEND content "#include \"${header}\"\n")
  endforeach()
  if(content)
    set(source ${CMAKE_CURRENT_BINARY_DIR}/check_headers_${name}.cpp)
    file(CONFIGURE OUTPUT ${source} CONTENT "${content}")
    add_library(check_headers_${name} OBJECT EXCLUDE_FROM_ALL ${source}) # never built: it carries the options
    target_link_libraries(check_headers_${name} PRIVATE talaria_${name} talaria_warnings)
  endif()
endfunction()

# talaria_isa_sources(NAME FLAGS -mavx2... SOURCES avx2/x.cpp...): instruction-set flags stay on
# these files alone, so that nothing else can execute an instruction the CPU was not asked about.
function(talaria_isa_sources name)
  cmake_parse_arguments(ARG "" "" "FLAGS;SOURCES" ${ARGN})
  target_sources(talaria_${name} PRIVATE ${ARG_SOURCES})
  set_source_files_properties(${ARG_SOURCES} PROPERTIES COMPILE_OPTIONS "${ARG_FLAGS}")
endfunction()

# talaria_program(NAME SOURCES ... USES ...): ends up as build/bin/NAME.
function(talaria_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;USES" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_USES} talaria_warnings)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
endfunction()

# talaria_forbid_link(PROGRAM talaria::x...): fails at configure time if PROGRAM reaches one of the
# libraries through any chain of links, and if there is no such library. This is how the trust boundary
# is kept, and what is attested stays small (docs/adr/0013-four-programs.md).
function(talaria_forbid_link program)
  set(seen)
  set(queue ${program})
  while(queue)
    list(POP_FRONT queue item)
    if(NOT TARGET ${item} OR item IN_LIST seen)
      continue()
    endif()
    list(APPEND seen ${item})
    get_target_property(aliased ${item} ALIASED_TARGET)
    if(aliased)
      list(APPEND queue ${aliased})
      continue()
    endif()
    foreach(property LINK_LIBRARIES INTERFACE_LINK_LIBRARIES)
      get_target_property(links ${item} ${property})
      if(links)
        list(APPEND queue ${links})
      endif()
    endforeach()
  endwhile()
  foreach(forbidden ${ARGN})
    if(NOT TARGET ${forbidden})
      message(FATAL_ERROR "${program} may not link ${forbidden}, which is no library: correct the name")
    endif()
    string(REPLACE "talaria::" "talaria_" real ${forbidden})
    if(real IN_LIST seen OR forbidden IN_LIST seen)
      message(FATAL_ERROR "${program} links ${forbidden}, which does not belong into this program")
    endif()
  endforeach()
endfunction()

# talaria_test(NAME SOURCES ... USES ... [LABELS ...]): one Boost.Test program, one ctest entry.
function(talaria_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;USES;LABELS" ${ARGN})
  if(NOT TARGET test_main) # compiled once for all of them
    add_library(test_main OBJECT ${PROJECT_SOURCE_DIR}/tests/support/main.cpp)
    target_compile_definitions(test_main PRIVATE BOOST_TEST_DYN_LINK)
    target_link_libraries(test_main PRIVATE Boost::unit_test_framework)
  endif()
  add_executable(${name} ${ARG_SOURCES} $<TARGET_OBJECTS:test_main>)
  talaria_batch(${name} 8)
  target_compile_options(${name} PRIVATE "$<$<CONFIG:Release>:${TALARIA_TEST_OPTIONS}>")
  target_link_libraries(${name} PRIVATE ${ARG_USES} talaria_warnings talaria_exact_float
                                        Boost::unit_test_framework)
  target_compile_definitions(${name} PRIVATE BOOST_TEST_DYN_LINK
                             TALARIA_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name} --log_level=error --color_output=no)
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 600)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT})
  if("e2e" IN_LIST ARG_LABELS) # the long ones first, so that none of them ends alone
    set_tests_properties(${name} PROPERTIES COST 10)
  endif()
endfunction()
