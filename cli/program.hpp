#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string_view>
#include <vector>

#include "cli/interrupt.hpp"

namespace talaria::cli {

/// What a chosen command does; returns the exit status and may throw Error.
using Action = std::function<int(InterruptWatch&)>;

/// Adds one subcommand to `app`; when it is the one given, `chosen` becomes its action.
using AddCommand = void (*)(CLI::App& app, Action& chosen);

/// A program of the trusted side: `talaria`, `talaria-enclave` or `talaria-audit`.
struct Program {
  const char* name;
  const char* description; ///< for --help
  std::vector<AddCommand> commands;
};

/// What all of them do around their commands: hardens the process, overwrites arguments that nobody
/// else may read, watches for interrupts, parses, runs, and turns errors into one line on standard
/// error and an exit status. To be called first thing in main().
///
/// Started under the name `talaria` (see forward_command()), a program speaks of itself as that.
int program_main(int argc, char** argv, const Program& program);

/// "talaria" if the command line begins with a program of that name, else `name`.
std::string_view spoken_name(int argc, char* const* argv, std::string_view name);

} // namespace talaria::cli
