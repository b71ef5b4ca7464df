#pragma once

#include <string_view>
#include <vector>

namespace talaria::exporting {

/// A file that is built into the program as it is in the source tree.
struct Asset {
  const char* path;
  std::string_view text;
};

/// The chart's files that do not depend on the cluster, with their paths in the chart.
const std::vector<Asset>& chart_assets();
/// The shipped systemd units (packaging/systemd).
std::string_view enclave_unit();
std::string_view worker_unit();

} // namespace talaria::exporting
