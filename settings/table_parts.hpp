#pragma once

#include <vector>

#include "settings/setting.hpp"

namespace talaria::settings {

// The sections of table(), each in the file that is named after them.

std::vector<Setting> engine_settings();    ///< model, masking, enclave, pipeline
std::vector<Setting> serve_settings();     ///< tls, serve, chat, telemetry
std::vector<Setting> operation_settings(); ///< faults, hints, launch
std::vector<Setting> session_settings();   ///< what cannot stand in a file

} // namespace talaria::settings
