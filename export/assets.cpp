#include "export/assets.hpp"

#include "core/embedded_file.hpp"

TALARIA_EMBED(talaria_export_helpers, TALARIA_CHART_FOLDER "/templates/_helpers.tpl");
TALARIA_EMBED(talaria_export_workers, TALARIA_CHART_FOLDER "/templates/workers.yaml");
TALARIA_EMBED(talaria_export_gateway, TALARIA_CHART_FOLDER "/templates/gateway.yaml");
TALARIA_EMBED(talaria_export_operations, TALARIA_CHART_FOLDER "/templates/operations.yaml");
TALARIA_EMBED(talaria_export_notes, TALARIA_CHART_FOLDER "/templates/NOTES.txt");
TALARIA_EMBED(talaria_export_schema, TALARIA_CHART_FOLDER "/values.schema.json");
TALARIA_EMBED(talaria_export_enclave_unit, TALARIA_UNIT_FOLDER "/talaria-enclave.service");
TALARIA_EMBED(talaria_export_worker_unit, TALARIA_UNIT_FOLDER "/talaria-worker.service");

namespace talaria::exporting {

const std::vector<Asset>& chart_assets() {
  static const std::vector<Asset> kAssets{
      {"templates/_helpers.tpl", TALARIA_EMBEDDED(talaria_export_helpers)},
      {"templates/workers.yaml", TALARIA_EMBEDDED(talaria_export_workers)},
      {"templates/gateway.yaml", TALARIA_EMBEDDED(talaria_export_gateway)},
      {"templates/operations.yaml", TALARIA_EMBEDDED(talaria_export_operations)},
      {"templates/NOTES.txt", TALARIA_EMBEDDED(talaria_export_notes)},
      {"values.schema.json", TALARIA_EMBEDDED(talaria_export_schema)}};
  return kAssets;
}

std::string_view enclave_unit() {
  return TALARIA_EMBEDDED(talaria_export_enclave_unit);
}

std::string_view worker_unit() {
  return TALARIA_EMBEDDED(talaria_export_worker_unit);
}

} // namespace talaria::exporting
