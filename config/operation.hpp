#pragma once

#include <filesystem>

#include "config/fields.hpp"
#include "config/pipeline_config.hpp"

namespace talaria::config {

// The sections that say how a cluster is run. Relative paths are relative to `folder`; both
// arguments must outlive the reading.

ReadValue faults_in(Faults& out);
ReadValue hints_in(Hints& out, const std::filesystem::path& folder);
ReadValue launch_in(Launch& out, const std::filesystem::path& folder);

} // namespace talaria::config
