#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "config/fields.hpp"
#include "config/pipeline_config.hpp"

namespace talaria::config {

/// `serve:` Relative paths are relative to `folder`; both arguments must outlive the reading.
ReadValue serve_in(Serve& out, const std::filesystem::path& folder);

/// What is wrong with `text` in the place of `serve.listen`, HOST:PORT or unix:/PATH, as the rest
/// of a sentence; empty: nothing.
std::string mistake_in_listen(std::string_view text);

/// Why nobody may be served at `serve.listen` with the other settings as they are, as the rest of a
/// sentence; empty: they may. Whoever else reaches the address must say who he is, and nobody must
/// hear him say it; a socket in the file system is reached by whoever may open the file.
std::string exposure_of(const Serve& serve);

/// Adds a problem if /metrics would be plain where other machines reach it; `at` is its place.
void check_metrics(const PipelineConfig& config, const std::optional<Position>& at,
                   Problems& problems);

/// "chat.example.org" or "[fd00::6]", without a port: what a client writes into `Host`.
bool is_served_host(std::string_view text);

/// "https://chat.example.org" or "http://localhost:3000", as a browser writes it into `Origin`.
bool is_web_origin(std::string_view text);

} // namespace talaria::config
