#include "export/assets.hpp"

// The assembler puts the bytes in place; the paths come from CMake.
#define TALARIA_EXPORT_ASSET(name, path)                                                           \
  asm(".section .rodata\n"                                                                         \
      ".global talaria_export_" #name "\n"                                                         \
      ".global talaria_export_" #name "_end\n"                                                     \
      "talaria_export_" #name ":\n"                                                                \
      ".incbin \"" path "\"\n"                                                                     \
      "talaria_export_" #name "_end:\n"                                                            \
      ".previous\n");                                                                              \
  extern "C" const char talaria_export_##name[];                                                   \
  extern "C" const char talaria_export_##name##_end[];                                             \
  static_assert(true)

TALARIA_EXPORT_ASSET(helpers, TALARIA_CHART_FOLDER "/templates/_helpers.tpl");
TALARIA_EXPORT_ASSET(workers, TALARIA_CHART_FOLDER "/templates/workers.yaml");
TALARIA_EXPORT_ASSET(gateway, TALARIA_CHART_FOLDER "/templates/gateway.yaml");
TALARIA_EXPORT_ASSET(operations, TALARIA_CHART_FOLDER "/templates/operations.yaml");
TALARIA_EXPORT_ASSET(notes, TALARIA_CHART_FOLDER "/templates/NOTES.txt");
TALARIA_EXPORT_ASSET(schema, TALARIA_CHART_FOLDER "/values.schema.json");
TALARIA_EXPORT_ASSET(enclave_unit, TALARIA_UNIT_FOLDER "/talaria-enclave.service");
TALARIA_EXPORT_ASSET(worker_unit, TALARIA_UNIT_FOLDER "/talaria-worker.service");

#define TALARIA_EXPORT_TEXT(name)                                                                  \
  std::string_view(talaria_export_##name, talaria_export_##name##_end)

namespace talaria::exporting {

const std::vector<Asset>& chart_assets() {
  static const std::vector<Asset> kAssets{
      {"templates/_helpers.tpl", TALARIA_EXPORT_TEXT(helpers)},
      {"templates/workers.yaml", TALARIA_EXPORT_TEXT(workers)},
      {"templates/gateway.yaml", TALARIA_EXPORT_TEXT(gateway)},
      {"templates/operations.yaml", TALARIA_EXPORT_TEXT(operations)},
      {"templates/NOTES.txt", TALARIA_EXPORT_TEXT(notes)},
      {"values.schema.json", TALARIA_EXPORT_TEXT(schema)}};
  return kAssets;
}

std::string_view enclave_unit() {
  return TALARIA_EXPORT_TEXT(enclave_unit);
}

std::string_view worker_unit() {
  return TALARIA_EXPORT_TEXT(worker_unit);
}

} // namespace talaria::exporting
