# cmake --install build [--component talaria|enclave|worker|audit], and Debian packages of the same: cpack in the
# build folder (docs/packages.md). Each machine gets the program it runs, and no other; `talaria` starts the two
# programs beside it (cli/forward.hpp). Manual pages and completions are made when they are installed, of what the
# programs say to --help, and so is the list of what each is made of (scripts/sbom). With SOURCE_DATE_EPOCH equal sources
# give equal packages, wherever they are built (scripts/reproduce-packages).
include(GNUInstallDirs)
set(packaging ${PROJECT_SOURCE_DIR}/packaging/debian)

foreach(component talaria enclave worker audit)
  string(REGEX REPLACE "^(enclave|worker|audit)$" "talaria-\\1" program ${component})
  set(manual ${CMAKE_BINARY_DIR}/manual/${program})
  install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT ${component})
  install(CODE "execute_process(COMMAND ${PROJECT_SOURCE_DIR}/scripts/manual ${CMAKE_BINARY_DIR}/bin ${manual}
    ${PROJECT_VERSION} ${program} COMMAND_ERROR_IS_FATAL ANY)" COMPONENT ${component})
  install(DIRECTORY ${manual}/man1 DESTINATION ${CMAKE_INSTALL_MANDIR} COMPONENT ${component})
  install(DIRECTORY ${manual}/bash/ DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
          COMPONENT ${component})
  install(DIRECTORY ${manual}/zsh/ DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions COMPONENT ${component})
  install(DIRECTORY ${manual}/fish/ DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d
          COMPONENT ${component})
  # What it is made of (SPDX), of the program as it has just been installed.
  set(sbom ${CMAKE_BINARY_DIR}/sbom/${program}.spdx.json)
  set(shipped)
  if(component STREQUAL talaria)
    set(shipped --data ${PROJECT_SOURCE_DIR}/models)
  endif()
  if(CMAKE_GENERATOR STREQUAL Ninja)
    set(records --build ${CMAKE_BINARY_DIR})
  endif()
  list(JOIN shipped " " shipped)
  list(JOIN records " " records)
  install(CODE "file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/sbom)
  execute_process(COMMAND ${PROJECT_SOURCE_DIR}/scripts/sbom ${program} ${PROJECT_VERSION}
    \$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/${program} ${sbom} ${records} ${shipped}
    COMMAND_ERROR_IS_FATAL ANY)" COMPONENT ${component})
  install(FILES ${sbom} DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${program} COMPONENT ${component})
endforeach()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/models DESTINATION ${CMAKE_INSTALL_DATADIR}/talaria COMPONENT talaria)
# Units name addresses and paths: they are examples until somebody has changed them, or `talaria export systemd`
# has written others.
foreach(component enclave worker)
  install(FILES ${PROJECT_SOURCE_DIR}/packaging/systemd/talaria-${component}.service
          DESTINATION ${CMAKE_INSTALL_DATADIR}/talaria/systemd COMPONENT ${component})
  install(FILES ${packaging}/sysusers/talaria-${component}.conf DESTINATION lib/sysusers.d COMPONENT ${component})
endforeach()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME talaria)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "Talaria <talaria@localhost>" CACHE STRING "Maintainer of the packages, NAME <MAIL>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR}/packages)
set(CPACK_COMPONENTS_ALL talaria enclave worker audit)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

# What talaria_debian(COMPONENT NAME SUMMARY TEXT) says of a package; dependencies on libraries are dpkg-shlibdeps'.
function(talaria_debian component name summary text)
  string(TOUPPER ${component} upper)
  set(CPACK_DEBIAN_${upper}_PACKAGE_NAME ${name} PARENT_SCOPE)
  set(CPACK_DEBIAN_${upper}_DESCRIPTION "${summary}\n${text}" PARENT_SCOPE)
  set(CPACK_COMPONENT_${upper}_DESCRIPTION "${summary}\n${text}" PARENT_SCOPE)
  if(EXISTS ${packaging}/${component}/postinst)
    set(CPACK_DEBIAN_${upper}_PACKAGE_CONTROL_EXTRA ${packaging}/${component}/postinst PARENT_SCOPE)
  endif()
  install(FILES ${packaging}/copyright DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${name} COMPONENT ${component})
  install(FILES CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${name}
          COMPONENT ${component})
endfunction()

set(worker talaria-worker)
if(TALARIA_WITH_CUDA)
  set(worker talaria-worker-cuda)
  set(CPACK_DEBIAN_WORKER_PACKAGE_PROVIDES "talaria-worker (= ${PROJECT_VERSION})")
  set(CPACK_DEBIAN_WORKER_PACKAGE_CONFLICTS talaria-worker)
  set(CPACK_DEBIAN_WORKER_PACKAGE_REPLACES talaria-worker)
else()
  set(CPACK_DEBIAN_WORKER_PACKAGE_CONFLICTS talaria-worker-cuda)
  set(CPACK_DEBIAN_WORKER_PACKAGE_REPLACES talaria-worker-cuda)
endif()
# Programs of one version belong together: one starts the other.
set(CPACK_DEBIAN_TALARIA_PACKAGE_RECOMMENDS "talaria-enclave (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_TALARIA_PACKAGE_SUGGESTS
    "talaria-worker (= ${PROJECT_VERSION}), talaria-audit (= ${PROJECT_VERSION}), openssh-client")
set(CPACK_DEBIAN_TALARIA_PACKAGE_BREAKS "talaria-enclave (<< ${PROJECT_VERSION}), talaria-audit (<< ${PROJECT_VERSION})")
talaria_debian(talaria talaria "language models in somebody else's cloud, without showing it the prompt"
  "Commands of users and operators: run, launch, status, certs, prepare, inspect, export, connect, attest.")
talaria_debian(enclave talaria-enclave "Talaria's gateway, the program that is attested"
  "Engine and OpenAI-compatible endpoint for a confidential VM. It holds prompts, masks and keys.")
talaria_debian(worker ${worker} "Talaria's untrusted side"
  "Holds the weights of a model, multiplies masked rows and sees no prompt.")
talaria_debian(audit talaria-audit "attacks on what a worker of Talaria sees"
  "Runs the published attacks against a recording and says which of them beat chance.")
include(CPack)
