#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

#include "config/fields.hpp"
#include "config/pipeline_config.hpp"

namespace talaria::config {

/// `serve:` Relative paths are relative to `folder`; both arguments must outlive the reading.
ReadValue serve_in(Serve& out, const std::filesystem::path& folder);

/// Adds a problem if /metrics would be plain where other machines reach it; `at` is its place.
void check_metrics(const PipelineConfig& config, const std::optional<Position>& at,
                   Problems& problems);

/// "chat.example.org" or "[fd00::6]", without a port: what a client writes into `Host`.
bool is_served_host(std::string_view text);

/// "https://chat.example.org" or "http://localhost:3000", as a browser writes it into `Origin`.
bool is_web_origin(std::string_view text);

} // namespace talaria::config
