#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/address.hpp"
#include "core/model_part.hpp"
#include "settings/setting.hpp"

namespace talaria::settings {

// The kinds of values that say who is reached where, and what a worker holds.

/// Of a worker: HOST:PORT with a port of its own.
Form<Address> worker_address();
/// HOST:PORT to listen on.
Form<std::optional<std::string>> listen_address();
/// HOST:PORT or unix:/PATH to listen on.
Form<std::optional<std::string>> served_address();
Form<LayerRange> layers();
Form<ColumnShare> columns();
/// A word that can name a log file.
Form<std::string> node_name();

/// "chat.example.org" or "[fd00::6]", without a port: what a client writes into `Host`.
bool is_served_host(std::string_view text);

/// "https://chat.example.org" or "http://localhost:3000", as a browser writes it into `Origin`.
bool is_web_origin(std::string_view text);

/// "http://127.0.0.1:4318" or "https://collector.example.org/otlp".
bool is_server_url(std::string_view text);

} // namespace talaria::settings
