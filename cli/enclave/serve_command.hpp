#pragma once

#include "cli/program.hpp"

namespace talaria::cli {

void add_serve_command(CLI::App& app, Action& chosen);

} // namespace talaria::cli
